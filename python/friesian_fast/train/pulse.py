"""How a worker shows its launcher that it is at work, and what it is doing: a file that both know."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

LONG_S = 60  # after which it is told what keeps a training waiting
_BEAT_S = 5


class Pulse:
    """The worker's side.

    The file is touched all the time, but within a step only at its beginning and by `beat`: so its age tells a step
    that hangs. What it holds is what the worker is doing that may take as long as it likes; nothing, most of the time.

    Parameters
    ----------
    path : Path or None
        None shows nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._in_step = False
        self._doing = ""
        self._is_shown = False
        self._number = 0
        self._changing = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat_between_steps, name="friesian-pulse", daemon=True)
        self._thread.start()

    def beat(self) -> None:
        """Show that this worker is at work."""
        if self._path is not None:
            with suppress(OSError):  # the launcher has gone and taken its directory with it
                self._path.touch()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around what has to show by its own beats that it does not hang."""
        self.beat()
        self._in_step = True
        try:
            yield
        finally:
            self._in_step = False

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Around what may take long; it costs nothing if it does not. Blocks may lie in one another."""
        with self._changing:
            around = self._doing
            self._number += 1  # so that two in a row are not taken for one
            self._begin(f"{self._number} {what}")
        try:
            yield
        finally:
            with self._changing:
                self._begin(around)

    def close(self) -> None:
        """Stop beating."""
        self._closed.set()
        self._thread.join()

    def _beat_between_steps(self) -> None:
        while not self._closed.wait(_BEAT_S):
            with self._changing:
                if self._doing and not self._is_shown:
                    self._write(self._doing)
                    self._is_shown = True
                elif not self._in_step:
                    self.beat()

    def _begin(self, doing: str) -> None:
        """Show it at the next beat, and no longer what was done before."""
        self._doing = doing
        if self._is_shown:
            self._write("")
        self._is_shown = False

    def _write(self, text: str) -> None:
        if self._path is not None:
            with suppress(OSError):
                self._path.write_text(text, encoding="utf-8")


class Patience:
    """When to tell of something that takes long: after a minute, and again whenever it took twice as long as told.

    Attributes
    ----------
    until : float
        Seconds after which it is told next.
    """

    def __init__(self) -> None:
        self.until: float = LONG_S

    def is_over(self, seconds: float) -> bool:
        """Whether to tell now, after so many seconds."""
        if seconds < self.until:
            return False
        self.until = 2 * seconds
        return True


class PulseSeen:
    """The launcher's side; by its own clock, as that of files may jump, or a machine sleep.

    Parameters
    ----------
    path : Path
        Of a file that is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._touched, self._touched_at = 0, time.monotonic()
        self._doing, self._doing_since = "", 0.0

    def silence(self) -> float:
        """Seconds for which nothing was seen."""
        touched, now = self._path.stat().st_mtime_ns, time.monotonic()
        if touched != self._touched:
            self._touched, self._touched_at = touched, now
            doing = self._path.read_text(encoding="utf-8")
            if doing != self._doing:
                self._doing, self._doing_since = doing, now
        return now - self._touched_at

    def doing(self) -> tuple[str, float] | None:
        """What the worker is doing that may take long, and for how many seconds, as far as `silence` saw."""
        if not self._doing:
            return None
        return self._doing.partition(" ")[2], time.monotonic() - self._doing_since


class Overdue:
    """What keeps a training waiting: of each thing one line for all workers that do it, however often it is done.

    Parameters
    ----------
    world : int
        How many workers there are, of whom here may be some.
    """

    def __init__(self, world: int) -> None:
        self._world = world
        self._patience: dict[str, Patience] = {}

    def events(self, doing: Mapping[int, tuple[str, float]]) -> list[dict[str, Any]]:
        """What is to be told of what ranks are doing, and for how many seconds: line, thing and seconds."""
        found = []
        for what in dict.fromkeys(what for what, _ in doing.values()):
            seconds = {rank: after for rank, (other, after) in doing.items() if other == what}
            longest = max(seconds.values())
            if self._patience.setdefault(what, Patience()).is_over(longest):
                ranks = [rank for rank, after in seconds.items() if 2 * after >= longest]
                line = f"{_named(ranks, self._world)} still {what} after {longest:.0f} s"
                found.append({"late": line, "what": what, "seconds": longest})
        return found


def _named(ranks: Sequence[int], world: int) -> str:
    if len(ranks) == 1:
        return f"rank {ranks[0]} of {world} is"
    shown = ranks if len(ranks) < 4 else ranks[:2]
    more = f" and {len(ranks) - len(shown)} more" if len(shown) < len(ranks) else ""
    return f"ranks {', '.join(map(str, shown))}{more} of {world} are"
