"""What a training sends to the process that called it, over an authenticated socket, from wherever rank 0 runs.

News are JSON; the weights come as a file, since Spark would hold them several times in the heap of its JVM.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener, answer_challenge, deliver_challenge
from pathlib import Path

from friesian_fast._files import replacing
from friesian_fast.train.job import Event

_HANDSHAKE_S = 5  # for whoever calls to show that it knows the key
_END_S = 5  # for the last news to arrive
_TELL_S = 5  # for one line to be taken
_CHUNK, _CHUNK_S = 16 << 20, 60
_KEPT = b"kept"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where to send news, and the word that lets one in."""

    host: str
    port: int
    key: bytes = field(repr=False)


@contextlib.contextmanager
def listening(
    host: str,
    on_event: Callable[[Event], None],
    on_error: Callable[[], None] = lambda: None,
    inbox: Path | None = None,
) -> Iterator[Mailbox]:
    """Hand every event that a worker sends to a function, one at a time, until the block ends.

    Whoever calls is heard in a thread of its own, so that one who stays silent keeps nobody else out.

    Parameters
    ----------
    host : str
        Of this machine, as the workers know it.
    on_event : callable
        What it raises first is raised when the block has ended, instead of what the block raises; it is not called
        again.
    on_error : callable, optional
        Called then, so that the block can be ended.
    inbox : path, optional
        Gets the file that `send_file` sends.
    """
    key = secrets.token_bytes(32)
    listener = Listener(("127.0.0.1" if host == "127.0.0.1" else "0.0.0.0", 0), backlog=16)
    failed: list[Exception] = []
    one_at_a_time = threading.Lock()

    def take(event: Event) -> None:
        with one_at_a_time:
            if failed:
                return
            try:
                on_event(event)
            except Exception as error:
                failed.append(error)
                on_error()

    accepting = _Accepting(listener, key, take, inbox)
    accepting.start()
    port = int(listener.address[1])
    try:
        yield Mailbox(host, port, key)
    finally:
        accepting.end(port)
        if failed:
            raise failed[0]


class _Accepting(threading.Thread):
    """Takes calls, each of which gets a thread that hears it."""

    def __init__(self, listener: Listener, key: bytes, take: Callable[[Event], None], inbox: Path | None) -> None:
        super().__init__(name="friesian-events", daemon=True)
        self._listener = listener
        self._key = key
        self._take = take
        self._inbox = inbox
        self._over = threading.Event()
        self._busy: set[int] = set()  # threads whose message is being taken
        self._calls: list[threading.Thread] = []

    def run(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:  # who called has gone again, or there are too many open files
                if self._over.wait(0.05):
                    return
                continue
            if self._over.is_set():
                connection.close()
                return
            self._calls = [call for call in self._calls if call.is_alive()]
            call = threading.Thread(target=self._hear, args=(connection,), name="friesian-call", daemon=True)
            self._calls.append(call)
            call.start()

    def _hear(self, connection: Connection) -> None:
        # Whoever does not know the key is not listened to.
        with contextlib.suppress(OSError, EOFError, AuthenticationError), connection:
            _wait_at_most(connection, _HANDSHAKE_S)
            deliver_challenge(connection, self._key)
            answer_challenge(connection, self._key)
            _wait_at_most(connection, 0)
            while True:
                message = json.loads(connection.recv_bytes())
                self._busy.add(threading.get_ident())
                try:
                    self._use(connection, message)
                finally:
                    self._busy.discard(threading.get_ident())

    def _use(self, connection: Connection, message: Event) -> None:
        if "file" not in message:
            self._take(message)
        elif self._inbox is not None:
            _receive(connection, self._inbox, int(message["file"]))

    def end(self, port: int) -> None:
        """Take no more calls, and hear those that there are to their end, however long what they tell keeps us."""
        self._over.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()  # so that `accept` returns
        self.join(_END_S)
        self._listener.close()
        until = time.monotonic() + _END_S
        while (waited := [call for call in self._calls if call.is_alive()]) and time.monotonic() < until:
            if self._busy:
                until = time.monotonic() + _END_S
            waited[0].join(0.05)


def _receive(connection: Connection, path: Path, size: int) -> None:
    _wait_at_most(connection, _CHUNK_S)
    with replacing(path) as partial, partial.open("wb") as file:
        while file.tell() < size:
            file.write(connection.recv_bytes())
    connection.send_bytes(_KEPT)
    _wait_at_most(connection, 0)


def _wait_at_most(connection: Connection, seconds: int) -> None:
    """Let reads and writes of a connection fail after so many seconds of silence; 0 waits for ever."""
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        for which in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            same.setsockopt(socket.SOL_SOCKET, which, struct.pack("ll", seconds, 0))


def _call(mailbox: Mailbox, seconds: int) -> Connection:
    """Call who listens; as `multiprocessing` does, but it does not wait for ever on a machine that is gone."""
    with socket.create_connection((mailbox.host, mailbox.port), timeout=seconds) as call:
        call.setblocking(True)
        connection = Connection(call.detach())
    try:
        _wait_at_most(connection, seconds)
        answer_challenge(connection, mailbox.key)
        deliver_challenge(connection, mailbox.key)
    except BaseException:
        connection.close()
        raise
    return connection


def sender(mailbox: Mailbox | None) -> Callable[[Event], None]:
    """A function that sends events; it does nothing if nobody listens, as a training does not depend on it."""
    if mailbox is None:
        return lambda event: None
    try:
        connection = _call(mailbox, _CHUNK_S)
        _wait_at_most(connection, 0)  # a function of the caller may keep us waiting
    except (OSError, EOFError, AuthenticationError):
        return lambda event: None

    def send(event: Event) -> None:
        with contextlib.suppress(OSError):
            connection.send_bytes(json.dumps(event).encode())

    return send


class LateTeller:
    """Tells the caller of a training what keeps it waiting; on standard error once the caller is out of reach.

    It is called by who watches over workers, and so waits for nobody longer than some seconds, and that once.

    Parameters
    ----------
    mailbox : Mailbox
    """

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._connection: Connection | None = None
        self._is_lost = False

    def __call__(self, event: Event) -> None:
        """Tell one event of `Overdue`."""
        try:
            self._send(event)
        except (OSError, EOFError, AuthenticationError):
            self._is_lost = True
        if self._is_lost:
            print(event["late"], file=sys.stderr, flush=True)

    def _send(self, event: Event) -> None:
        if self._is_lost:
            return
        if self._connection is None:
            self._connection = _call(self._mailbox, _TELL_S)
        self._connection.send_bytes(json.dumps(event).encode())


def send_file(mailbox: Mailbox, path: Path) -> bool:
    """Send a file to whoever listens; False if it did not arrive."""
    try:
        with _call(mailbox, _CHUNK_S) as connection, path.open("rb") as file:
            connection.send_bytes(json.dumps({"file": path.stat().st_size}).encode())
            while chunk := file.read(_CHUNK):
                connection.send_bytes(chunk)
            return connection.recv_bytes() == _KEPT
    except (OSError, EOFError, AuthenticationError):
        return False
