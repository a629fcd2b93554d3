"""News of a training for the process that called it: JSON over an authenticated socket, from wherever rank 0 runs."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener

from friesian_fast.train.job import Event


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where to send news, and the word that lets one in."""

    host: str
    port: int
    key: bytes


@contextlib.contextmanager
def listening(host: str, on_event: Callable[[Event], None]) -> Iterator[Mailbox]:
    """Hand every event that one worker sends to a function, in a thread of its own, until the block ends.

    Parameters
    ----------
    host : str
        Of this machine, as the workers know it.
    on_event : callable
        What it raises is raised when the block has ended.
    """
    key = secrets.token_bytes(32)
    listener = Listener(("127.0.0.1" if host == "127.0.0.1" else "0.0.0.0", 0), authkey=key)
    failed: list[Exception] = []
    met, over = threading.Event(), threading.Event()

    def take(event: Event) -> None:
        try:
            on_event(event)
        except Exception as error:
            failed.append(error)

    def receive() -> None:
        while not over.is_set() and not met.is_set():
            # Whoever does not know the key is not listened to.
            with contextlib.suppress(OSError, EOFError, AuthenticationError), listener.accept() as connection:
                met.set()
                while True:
                    take(json.loads(connection.recv_bytes()))

    thread = threading.Thread(target=receive, name="friesian-events", daemon=True)
    thread.start()
    port = int(listener.address[1])
    try:
        yield Mailbox(host, port, key)
    finally:
        over.set()
        if not met.is_set():
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
        thread.join(timeout=5)
        listener.close()
    if failed:
        raise failed[0]


def sender(mailbox: Mailbox | None) -> Callable[[Event], None]:
    """A function that sends events; it does nothing if nobody listens, as a training does not depend on it."""
    if mailbox is None:
        return lambda event: None
    try:
        connection = Client((mailbox.host, mailbox.port), authkey=mailbox.key)
    except (OSError, EOFError, AuthenticationError):
        return lambda event: None

    def send(event: Event) -> None:
        with contextlib.suppress(OSError):
            connection.send_bytes(json.dumps(event).encode())

    return send
