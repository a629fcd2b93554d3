"""Timers under the original's names, of one process, or of all workers behind one port together."""

from __future__ import annotations

import json
import logging
import mmap
import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from friesian_fast._core import Timer
from friesian_fast.errors import UnavailableError

_WINDOW = 1024
# A page holds the timers of one process: a name, then in 64-bit floats the generation, the time of the first call, the
# number of calls, and the last durations.
_NAME_BYTES = 64
_HEADER = 3
_SLOT_BYTES = _NAME_BYTES + 8 * (_HEADER + _WINDOW)
_SLOTS = 64
_PAGE = "timers-"
_GENERATION = "generation"

_log = logging.getLogger(__name__)


class Timers:
    """Timers by name. Failed calls count too.

    Parameters
    ----------
    shared : Path, optional
        A directory where workers keep their timers; each then shows, and resets, those of all.
    number : int
        This worker's; one that takes a dead one's place goes on where that one was.
    """

    def __init__(self, shared: Path | None = None, number: int = 0) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._slots: dict[str, memoryview[float]] = {}
        self._timers: dict[str, Timer] = {}
        self._page = _opened(shared and shared / f"{_PAGE}{number}", _SLOTS * _SLOT_BYTES)
        self._generation = _opened(shared and shared / _GENERATION, 8).cast("d")
        if self._generation[0] == 0:
            self._generation[0] = 1  # 0 is what an empty page has
        for name, start in _names(self._page):
            self._slots[name] = _numbers(self._page, start)

    def time(self, name: str) -> Timer:
        """The timer of that name: a context in which it measures what runs; threads may share it."""
        found = self._timers.get(name)
        if found is None:
            found = self._timers[name] = self.timer(name)
        return found

    def timer(self, *names: str) -> Timer:
        """One that counts under each of these names."""
        with self._lock:
            return Timer([self._slots.get(name) or self._new(name) for name in names], self._generation)

    def json(self, prefixes: Iterable[str] = ("",)) -> str:
        """The timers whose names begin with one of the prefixes, by name, as the original's JSON list."""
        wanted = tuple(prefixes)
        found: dict[str, list[memoryview[float]]] = {}
        for page in self._pages():
            for name, start in _names(page):
                numbers = _numbers(page, start)
                if name.startswith(wanted) and numbers[0] == self._generation[0]:
                    found.setdefault(name, []).append(numbers)
        return json.dumps([_summary(name, parts) for name, parts in sorted(found.items())], indent=2)

    def reset(self) -> None:
        """Forget everything; a call that is running counts into the new timers."""
        with self._lock:
            self._generation[0] += 1

    def _new(self, name: str) -> memoryview[float]:
        label, start = name.encode(), len(self._slots) * _SLOT_BYTES
        if len(label) > _NAME_BYTES or start == len(self._page):
            raise ValueError(f"timer {name!r} has no room: {_SLOTS} names of {_NAME_BYTES} bytes fit")
        self._page[start : start + len(label)] = label
        self._slots[name] = _numbers(self._page, start)
        return self._slots[name]

    def _pages(self) -> Iterator[memoryview]:
        if self._shared is None:
            yield self._page
            return
        for path in sorted(self._shared.glob(f"{_PAGE}*")):
            yield memoryview(path.read_bytes())


def log_regularly(timers: Timers, minutes: float) -> None:
    """Log the timers every so many minutes, as long as the process lives, unless that is 0 or less."""

    def report() -> None:
        while True:
            time.sleep(minutes * 60)
            _log.info("timers: %s", timers.json())

    if minutes > 0:
        threading.Thread(target=report, name="timers", daemon=True).start()


def _opened(path: Path | None, size: int) -> memoryview:
    """Memory of this process, or of a file that others may have open too."""
    if path is None:
        return memoryview(bytearray(size))
    with path.open("a+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)  # writing to pages that a full disk lacks would end the process
        except OSError as error:
            raise UnavailableError(f"there is no room for {path}, {size} bytes ({error.strerror})") from error
        return memoryview(mmap.mmap(file.fileno(), size))


def _names(page: memoryview) -> Iterator[tuple[str, int]]:
    """The names that are taken, and where their slots begin."""
    for start in range(0, len(page), _SLOT_BYTES):
        name = bytes(page[start : start + _NAME_BYTES]).rstrip(b"\0")
        if not name:
            return
        yield name.decode(), start


def _numbers(page: memoryview, start: int) -> memoryview[float]:
    return page[start + _NAME_BYTES : start + _SLOT_BYTES].cast("d")


def _summary(name: str, parts: list[memoryview[float]]) -> dict[str, Any]:
    """The original's fields: durations in milliseconds, the rate in calls per second."""
    counts = [int(numbers[2]) for numbers in parts]
    recent = (
        numbers[_HEADER : _HEADER + min(count, _WINDOW)].tolist() for numbers, count in zip(parts, counts, strict=True)
    )
    milliseconds: list[float] = sorted(seconds * 1000 for durations in recent for seconds in durations) or [0.0]
    started = min(numbers[1] for numbers in parts)
    return {
        "name": name,
        "count": sum(counts),
        "meanRate": sum(counts) / max(time.monotonic() - started, 1e-9),
        "mean": sum(milliseconds) / len(milliseconds),
        "median": _quantile(milliseconds, 0.5),
        "_75thPercentile": _quantile(milliseconds, 0.75),
        "_95thPercentile": _quantile(milliseconds, 0.95),
        "_99thPercentile": _quantile(milliseconds, 0.99),
    }


def _quantile(ordered: list[float], share: float) -> float:
    """By linear interpolation."""
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
