"""Where the calls of a server are answered: by its event loops, or by threads beside them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from friesian_services.rpc.handlers import Found, Handlers
from friesian_services.rpc.messages import MESSAGE_BYTES, Message

# Of unanswered requests and of unread answers; a connection alone may have some of it.
_HELD_BYTES = _UNREAD_BYTES = 16 * MESSAGE_BYTES
_CONNECTIONS = 1000
_QUEUED = 1000


class Threads:
    """Threads beside an event loop.

    Parameters
    ----------
    pool : Executor
        Other loops may use it too.
    """

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._queued, self._lock = 0, threading.Lock()

    def hand_over(self, answer: Callable[..., None], *arguments: Any) -> bool:
        """Have a thread answer; False where too many calls wait for one."""
        with self._lock:
            if self._queued >= _QUEUED:
                return False
            self._queued += 1
        self._pool.submit(self._work, answer, arguments)
        return True

    def _work(self, answer: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        try:
            answer(*arguments)
        finally:
            with self._lock:
                self._queued -= 1


class Workplace:
    """What all connections of an event loop share.

    Parameters
    ----------
    handlers : Handlers
    pool : Executor, optional
        Threads for calls that are not short. Without one the event loops answer all.
    streams : Executor
        Threads for the messages of conversations.
    spread : bool
        Whether of short calls that come together the threads take all but one, as where there are cores for them.
    patience_s : float
        Seconds that a client may take for one request, or leave its answers unread.
    """

    def __init__(
        self, handlers: Handlers, pool: Executor | None, streams: Executor, *, spread: bool, patience_s: float
    ) -> None:
        self.handlers, self.patience_s = handlers, patience_s
        self.connections: set[Any] = set()
        self.streams = Threads(streams)
        self._threads = None if pool is None else Threads(pool)
        self._spread = spread
        self._held = self._unread = 0

    def admit(self, connection: Any) -> bool:
        """Take one more connection; where there are too many, in the place of one that has no call."""
        if len(self.connections) >= _CONNECTIONS:
            idle = next((held for held in self.connections if held.is_idle), None)
            if idle is None:
                return False
            self.connections.discard(idle)
            idle.leave()
            idle.close()
        self.connections.add(connection)
        return True

    def hold(self, more: int) -> bool:
        """Count bytes of requests that are kept, or no longer; False where those of all connections are too many."""
        self._held += more
        return self._held <= _HELD_BYTES

    def count_unread(self, more: int) -> None:
        """Count bytes of answers that wait to be read, or no longer."""
        self._unread += more

    def has_room(self, more: int) -> bool:
        """Whether so many bytes more may wait to be read."""
        return self._unread + more <= _UNREAD_BYTES

    def answers_here(self, found: Found, message: Message, *, alone: bool) -> bool:
        """Whether the event loop itself answers a call; one that is compressed may be of any size."""
        if self._threads is None:
            return True
        if message.flag or found.is_short is None or (self._spread and not alone):
            return False
        return found.is_short(message.content)

    def hand_over(self, answer: Callable[..., None], *arguments: Any) -> bool:
        """Have a thread answer; False where too many calls wait for one."""
        assert self._threads is not None
        return self._threads.hand_over(answer, *arguments)
