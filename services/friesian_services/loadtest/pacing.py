"""When requests are due, and waking up then: an event loop's own timers are a millisecond coarse."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Iterator

import numpy as np

from friesian_services.loadtest.plan import LoadPlan

_BLOCK = 4096


def due_times(plan: LoadPlan, start: float) -> Iterator[float]:
    """Instants without end at the plan's rate, on the clock of ``time.monotonic()``."""
    assert plan.rate is not None
    if plan.arrivals == "constant":
        number = 0
        while True:
            yield start + number / plan.rate
            number += 1
    random = np.random.default_rng([plan.seed, 1])
    due = start
    while True:
        for gap in random.exponential(1 / plan.rate, _BLOCK).tolist():
            due += gap
            yield due


class Alarm:
    """Wakes one waiter at an instant of ``time.monotonic()``, to some tens of microseconds.

    On Linux by a timer of the kernel that the event loop watches as a file; elsewhere by the loop's timers.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._timer = _KernelTimer() if sys.platform == "linux" else None
        if self._timer is not None:
            self._loop.add_reader(self._timer.file, self._ring)

    async def until(self, due: float) -> None:
        """Sleep until then; not at all if that has passed."""
        if self._timer is None:
            await asyncio.sleep(due - time.monotonic())
            return
        self._waiter = self._loop.create_future()
        self._timer.set(due)
        await self._waiter

    def close(self) -> None:
        """Give the timer back."""
        if self._timer is not None:
            self._loop.remove_reader(self._timer.file)
            os.close(self._timer.file)

    def _ring(self) -> None:
        assert self._timer is not None
        os.read(self._timer.file, 8)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _KernelTimer:
    """timerfd(2), which Python offers from 3.13 on."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.file: int = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_CLOEXEC | os.O_NONBLOCK)
        if self.file < 0:
            raise OSError(ctypes.get_errno(), "no timer from the kernel")

    def set(self, due: float) -> None:
        # itimerspec: no interval, then the instant; an instant that has passed rings at once, all zeros never.
        nanoseconds = max(1, int(due * 1e9))
        spec = (ctypes.c_long * 4)(0, 0, *divmod(nanoseconds, 1_000_000_000))
        if self._libc.timerfd_settime(self.file, 1, spec, None) != 0:
            raise OSError(ctypes.get_errno(), "cannot set a timer of the kernel")
