"""HTTP/1.1 with kept connections: one protocol object each, parsed in C, nothing else between socket and clock."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from typing import cast
from urllib.parse import quote

import httptools

from friesian_fast.errors import UnavailableError
from friesian_services.loadtest.calls import ANSWERED, FALLBACK, TIMEOUT, UNREACHABLE, Done
from friesian_services.loadtest.plan import LoadPlan

LOST = "connection lost"
BAD_ANSWER = "bad answer"

_SWEEP_S = 0.05


class HttpCalls:
    """A pool that grows to the plan's connections."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._queue: deque[tuple[float, bytes, Done]] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        host = f"[{plan.host}]" if ":" in plan.host else plan.host
        self._tail = f"?k={plan.k}&canK={plan.candidates} HTTP/1.1\r\nhost: {host}:{plan.port}\r\n\r\n".encode()
        self.open_connections = 0
        self.waited = 0

    async def open(self, connections: int) -> None:
        """Make the first connections."""
        for _ in range(min(connections, self._plan.most_connections)):
            try:
                connection = await self._connect()
            except OSError as error:
                raise UnavailableError(
                    f"nothing answers HTTP at {self._plan.host}:{self._plan.port} ({error.strerror or error}); "
                    "is the server up, and is this its HTTP port?"
                ) from error
            self._idle.append(connection)
        self._sweeper = self._loop.create_task(self._sweep())

    def render(self, user: int | str) -> bytes:
        """A GET of the recommendations."""
        return b"GET /recommender/recommend/%b%b" % (quote(str(user), safe="").encode(), self._tail)

    def send(self, request: bytes, done: Done) -> None:
        """Send on a free connection, else wait for one, and make one more if that is allowed."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closing():
                self._busy.add(connection)
                connection.ask(request, done)
                return
        self._queue.append((time.monotonic(), request, done))
        if not self._begin_to_grow():
            self.waited += 1

    async def close(self) -> None:
        """Close all."""
        self._queue.clear()
        tasks = [task for task in (self._sweeper, *self._connecting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in (*self._idle, *self._busy):
            connection.abort()

    def freed(self, connection: _Connection) -> None:
        """A request was answered: the connection takes the next."""
        if self._queue:
            _, request, done = self._queue.popleft()
            connection.ask(request, done)
        else:
            self._busy.discard(connection)
            self._idle.append(connection)

    def lost(self, connection: _Connection) -> None:
        """A connection is gone; what waits for one gets another."""
        self.open_connections -= 1
        self._busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._queue:
            self._begin_to_grow()

    def _begin_to_grow(self) -> bool:
        if self.open_connections + len(self._connecting) >= self._plan.most_connections:
            return False
        task = self._loop.create_task(self._grow())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return True

    async def _connect(self) -> _Connection:
        _, connection = await self._loop.create_connection(lambda: _Connection(self), self._plan.host, self._plan.port)
        self.open_connections += 1
        return connection

    async def _grow(self) -> None:
        try:
            connection = await self._connect()
        except OSError:
            if self._queue:
                self._queue.popleft()[2](UNREACHABLE)
            return
        self._busy.add(connection)
        self.freed(connection)

    async def _sweep(self) -> None:
        """End what has waited too long; one timer for all costs less than one each."""
        while True:
            await asyncio.sleep(min(_SWEEP_S, self._plan.timeout_s / 4))
            latest = time.monotonic() - self._plan.timeout_s
            while self._queue and self._queue[0][0] < latest:
                self._queue.popleft()[2](TIMEOUT)
            for connection in [one for one in self._busy if one.asked_at < latest]:
                connection.end(TIMEOUT)
                connection.abort()


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, pool: HttpCalls) -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._done: Done | None = None
        self._transport: asyncio.Transport | None = None
        self.asked_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from it

    def ask(self, request: bytes, done: Done) -> None:
        """Send; `done` is told."""
        assert self._transport is not None
        self._body, self._done = b"", done
        self.asked_at = time.monotonic()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.end(BAD_ANSWER)
            self.abort()

    def on_body(self, part: bytes) -> None:
        """Called by the parser."""
        self._body += part

    def on_message_complete(self) -> None:
        """Called by the parser."""
        done, self._done = self._done, None
        if done is None:  # nothing was asked
            self.abort()
            return
        outcome = outcome_of(self._parser.get_status_code(), self._body)
        # First free, then told: a client that asks again at once finds this connection.
        if self._parser.should_keep_alive():
            self._pool.freed(self)
        else:
            self.abort()
        done(outcome)

    def connection_lost(self, error: Exception | None) -> None:
        self.end(LOST)
        self._pool.lost(self)

    def end(self, outcome: str) -> None:
        """Tell, once."""
        done, self._done = self._done, None
        if done is not None:
            done(outcome)

    def is_closing(self) -> bool:
        """Whether it can be used no more."""
        return self._transport is None or self._transport.is_closing()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()


def outcome_of(status: int, body: bytes) -> str:
    """Of a recommendation: the usual one is told by its bytes, any other is parsed."""
    if status != 200:
        return f"HTTP {status}"
    if b'"success": true' in body and b'"fallback"' not in body:
        return ANSWERED
    try:
        answer = json.loads(body)
    except ValueError:
        return BAD_ANSWER
    if not isinstance(answer, dict) or "success" not in answer:
        return BAD_ANSWER
    if not answer["success"]:
        return str(answer.get("errorCode") or "failed")
    return FALLBACK if answer.get("fallback") is not None else ANSWERED
