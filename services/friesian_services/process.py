"""The life of a process: start, say so, wait for a signal, drain, end."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from friesian_services.place import Place

# Calls of the threads of one server at once; native work runs outside the GIL.
THREADS = 16
_STARTED = "started"
_HEAR_S = 0.5

_Event = TypeVar("_Event")

_log = logging.getLogger(__name__)


class Part(Protocol):
    """Something that runs as long as the process does."""

    def start(self) -> None:
        """Begin to answer."""
        ...

    def stop(self, grace_s: float) -> None:
        """Take no more calls, finish those that run, at most so many seconds."""
        ...


def run(
    name: str,
    parts: Sequence[Part],
    addresses: dict[str, str],
    *,
    drain_s: float,
    place: Place | None = None,
) -> None:
    """Start the parts, then wait for SIGTERM, Ctrl-C or the end of the supervisor, and drain them side by side."""
    reasons: queue.SimpleQueue[str] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: reasons.put(signal.Signals(got).name))
    begun = _begun(parts, reasons)
    reason = next_event(reasons)  # a signal may come first: what starts takes up to minutes
    if reason == _STARTED:
        begun.result()
        supervisor = None if place is None else place.supervisor
        say(f"{name} is ready: {', '.join(f'{kind} {address}' for kind, address in addresses.items())}")
        if supervisor is not None:
            supervisor.tell(addresses)
            supervisor.when_gone(lambda: reasons.put("the supervising process ended"))
        reason = next_event(reasons)
    _log.info("%s: %s, draining", name, reason)
    _stop(parts, drain_s)


def next_event(events: queue.SimpleQueue[_Event]) -> _Event:
    """What comes next in a queue that signal handlers fill.

    Python calls those in the main thread, and a signal that the kernel hands to another one does not wake it.
    """
    while True:
        with contextlib.suppress(queue.Empty):
            return events.get(timeout=_HEAR_S)


def _begun(parts: Sequence[Part], reasons: queue.SimpleQueue[str]) -> Future[None]:
    """The start of the parts, in a thread; it says when it is over."""

    def start() -> None:
        for part in parts:
            part.start()

    pool = ThreadPoolExecutor(1, thread_name_prefix="start")
    begun = pool.submit(start)
    begun.add_done_callback(lambda _: reasons.put(_STARTED))
    pool.shutdown(wait=False)
    return begun


def _stop(parts: Sequence[Part], grace_s: float) -> None:
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(lambda part: part.stop(grace_s), parts))


def cores_here() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def say(line: str) -> None:
    """A line for whoever started the process, at once."""
    print(line, flush=True)


def log_to_stderr() -> None:
    """Warnings and the services' own notes."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
