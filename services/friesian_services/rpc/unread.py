"""Answers that a client has not taken: how many, and for how long."""

from __future__ import annotations

import asyncio
from typing import Any

from friesian_services.http2.connection import Connection
from friesian_services.rpc.messages import MESSAGE_BYTES
from friesian_services.rpc.workplace import Workplace

# Of one connection.
_UNREAD_BYTES = 4 * MESSAGE_BYTES
# As many as a transport takes before it says that they are not read.
_PROMPT_BYTES = 64 << 10


class Unread:
    """What waits to be read on one connection; a client that takes nothing of it for a time is let go.

    Parameters
    ----------
    connection : Connection
    place : Workplace
        Counts it, with that of the others.
    loop : AbstractEventLoop
    """

    def __init__(self, connection: Connection, place: Workplace, loop: asyncio.AbstractEventLoop) -> None:
        self._connection, self._place, self._loop = connection, place, loop
        self._transport: Any = None
        self._is_paused = False
        self._counted = 0
        self._taken = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: Any) -> None:
        """The connection is made."""
        self._transport = transport

    def end(self) -> None:
        """The connection is over."""
        self._count(0)
        if self._timer is not None:
            self._timer.cancel()

    def pause(self) -> None:
        """The transport has more than it likes."""
        self._is_paused = True
        self.start_clock()

    def resume(self) -> None:
        """The transport has little left."""
        self._is_paused = False
        self.written()

    def has_room(self, message: bytes) -> bool:
        """Whether the client, and all clients together, read their answers fast enough for one more.

        A short one for a client that has read all the others always has: those who read do not pay for those who do
        not.
        """
        size = len(message)
        if size <= _PROMPT_BYTES and not self._is_paused and not self._connection.unsent:
            return True
        waiting = self._waiting() + size
        return waiting <= _UNREAD_BYTES and self._place.has_room(waiting - self._counted)

    def written(self) -> None:
        """Look at what is left of what was written."""
        unsent = self._connection.unsent
        if unsent or self._is_paused:
            self.start_clock()
        elif not self._counted:
            return
        # What the transport has while it is not paused is little, and soon gone.
        self._count(self._waiting() if self._is_paused else unsent)

    def start_clock(self) -> None:
        """Let the client go after a time, unless it takes something until then."""
        if self._timer is None:
            self._taken = self._content_taken()
            self._timer = self._loop.call_later(self._place.patience_s, self._look)

    def _look(self) -> None:
        """What a client sends meanwhile shows nothing."""
        self._timer = None
        if self._connection.unsent or self._is_paused or self._transport.is_closing():
            if self._content_taken() <= self._taken:
                self._transport.abort()
            else:
                self.start_clock()

    def _count(self, size: int) -> None:
        self._place.count_unread(size - self._counted)
        self._counted = size

    def _waiting(self) -> int:
        buffered: int = self._transport.get_write_buffer_size()
        return self._connection.unsent + buffered

    def _content_taken(self) -> int:
        """Bytes of answers that went out, as far as the system took them."""
        buffered: int = self._transport.get_write_buffer_size()
        return self._connection.sent - buffered
