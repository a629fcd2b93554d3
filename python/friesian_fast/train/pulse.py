"""How a worker shows its launcher that it is at work, and what it is doing: a file that both know."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
        self._patience: dict[str, Patience] = {}  # with each thing, however often it is done

    def silence(self) -> float:
        """Seconds for which nothing was seen."""
        touched, now = self._path.stat().st_mtime_ns, time.monotonic()
        if touched != self._touched:
            self._touched, self._touched_at = touched, now
            doing = self._path.read_text(encoding="utf-8")
            if doing != self._doing:
                self._doing, self._doing_since = doing, now
        return now - self._touched_at

    def overdue(self) -> str | None:
        """What the worker has been doing for long, as far as `silence` saw, if it is time to tell it."""
        if not self._doing:
            return None
        what, after = self._doing.partition(" ")[2], time.monotonic() - self._doing_since
        if not self._patience.setdefault(what, Patience()).is_over(after):
            return None
        return f"still {what} after {after:.0f} s"
