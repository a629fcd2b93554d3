"""Sends the load and keeps every latency.

An open loop counts a request's latency from the instant it was due, not from when it was sent: a server that stalls, or
a client that falls behind, shows in the percentiles of all requests that came due meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import uvloop

from friesian_fast.errors import NotFoundError
from friesian_fast.recommend import Ids
from friesian_services.loadtest.calls import ANSWERED, FALLBACK, TIMEOUT, UNREACHABLE, Calls
from friesian_services.loadtest.grpc_calls import GrpcCalls
from friesian_services.loadtest.http_calls import HttpCalls
from friesian_services.loadtest.pacing import Alarm, due_times
from friesian_services.loadtest.plan import LoadPlan
from friesian_services.loadtest.usage import Usage, usage_of
from friesian_services.loadtest.users import draw

# Connections of an open loop before its warm-up, which makes as many more as it needs.
_FIRST_CONNECTIONS = 8
# Requests sent in a row without reading answers, when many are due.
_BURST = 32
# A closed loop does not hammer a port that nobody listens on.
_PAUSE_S = 0.01


class Edge(NamedTuple):
    """An end of the measured time: requests finished, CPU seconds of this client, and the server's if it is watched."""

    at: float
    finished: int
    client_cpu_s: float
    server: Usage | None


class Record:
    """All requests that were due in the measured time, exactly: 24 bytes each.

    Parameters
    ----------
    plan : LoadPlan
    start : float
        Of the warm-up, on the clock of ``time.monotonic()``.
    """

    def __init__(self, plan: LoadPlan, start: float) -> None:
        self.begin = start + plan.warmup_s
        self.end = self.begin + plan.duration_s
        self.last = self.begin
        self.due, self.latency, self.delay = array("d"), array("d"), array("d")
        self.error_due = array("d")
        self.errors: Counter[str] = Counter()
        self.fallbacks = 0
        self.finished = 0
        self.edges: list[Edge] = []
        self.connections = 0
        self.waited = 0

    def add(self, due: float, sent: float, outcome: str) -> None:
        """A request that was due then, sent then, and has ended now."""
        now = time.monotonic()
        self.finished += 1
        if not self.begin <= due < self.end:
            return
        self.last = now
        if outcome in (ANSWERED, FALLBACK):
            self.fallbacks += outcome == FALLBACK
        else:
            self.errors[outcome] += 1
            self.error_due.append(due)
            if outcome != TIMEOUT:  # that one did take so long; the others say nothing about time
                return
        self.due.append(due)
        self.latency.append(now - due)
        self.delay.append(sent - due)


def run_load(plan: LoadPlan, users: range | Ids, server_pid: int | None = None) -> Record:
    """Send the load to a running server.

    Parameters
    ----------
    plan : LoadPlan
    users : range, ndarray of int64 or list of str
        Ids to draw from.
    server_pid : int, optional
        The process whose CPU time and memory are read, with its children.

    Returns
    -------
    Record

    Raises
    ------
    UnavailableError
        If nobody listens.
    NotFoundError
        If there is no process `server_pid`.
    """
    if server_pid is not None:
        usage_of(server_pid)
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(_run(plan, users, server_pid))
    finally:
        loop.close()


async def _run(plan: LoadPlan, users: range | Ids, server_pid: int | None) -> Record:
    calls: Calls = HttpCalls(plan) if plan.protocol == "http" else GrpcCalls(plan)
    try:
        await calls.open(plan.clients or _FIRST_CONNECTIONS)
        record = Record(plan, time.monotonic())
        load = _Load(plan, calls, record, map(calls.render, draw(users, plan.seed)))
        watching = asyncio.create_task(_watch(record, server_pid))
        await (load.open_loop() if plan.is_open else load.closed_loop())
        await watching
        record.connections, record.waited = calls.open_connections, calls.waited
        return record
    finally:
        await calls.close()


class _Load:
    """The two loops."""

    def __init__(self, plan: LoadPlan, calls: Calls, record: Record, requests: Iterator[bytes]) -> None:
        self._plan = plan
        self._calls = calls
        self._record = record
        self._requests = requests
        self._loop = asyncio.get_running_loop()
        self._open = 0
        self._sending = True
        self._drained = self._loop.create_future()

    async def open_loop(self) -> None:
        """Send each request when it is due."""
        alarm = Alarm()
        try:
            in_a_row = 0
            for due in due_times(self._plan, self._record.begin - self._plan.warmup_s):
                if due >= self._record.end:
                    break
                request = next(self._requests)
                in_a_row += 1
                if due > time.monotonic():
                    await alarm.until(due)
                    in_a_row = 0
                elif in_a_row >= _BURST:
                    await asyncio.sleep(0)
                    in_a_row = 0
                self._open += 1
                self._calls.send(request, partial(self._ended, due, time.monotonic()))
        finally:
            alarm.close()
        self._sending = False
        await self._drain()

    async def closed_loop(self) -> None:
        """Each client sends, waits, and sends again."""
        assert self._plan.clients is not None
        for _ in range(self._plan.clients):
            self._open += 1
            self._next()
        await self._drain()

    def _next(self) -> None:
        now = time.monotonic()
        self._calls.send(next(self._requests), partial(self._again, now))

    def _again(self, sent: float, outcome: str) -> None:
        self._record.add(sent, sent, outcome)
        if time.monotonic() >= self._record.end:
            self._sending = False
            self._close_one()
        elif outcome == UNREACHABLE:
            self._loop.call_later(_PAUSE_S, self._next)
        else:
            self._next()

    def _ended(self, due: float, sent: float, outcome: str) -> None:
        self._record.add(due, sent, outcome)
        self._close_one()

    def _close_one(self) -> None:
        self._open -= 1
        if not self._sending and self._open == 0 and not self._drained.done():
            self._drained.set_result(None)

    async def _drain(self) -> None:
        if self._sending or self._open:
            await self._drained


async def _watch(record: Record, server_pid: int | None) -> None:
    """Take the edges of the measured time."""
    for instant in (record.begin, record.end):
        await asyncio.sleep(instant - time.monotonic())
        try:
            server = None if server_pid is None else await asyncio.to_thread(usage_of, server_pid)
        except NotFoundError:  # it has ended; the report says so
            server = None
        record.edges.append(Edge(time.monotonic(), record.finished, time.process_time(), server))
