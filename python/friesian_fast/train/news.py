"""What a training tells its caller: a line per epoch, a bar with rows per second, and the caller's own functions."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from friesian_fast.train.job import ABOUT_SPEED, Event
from friesian_fast.train.pulse import Patience

_log = logging.getLogger(__name__)


class News:
    """Takes the events of a training.

    Parameters
    ----------
    epochs : int
    on_epoch : sequence of callable
        Get the number of the epoch, from 1, and its metrics.
    verbose : bool
    """

    def __init__(
        self, epochs: int, on_epoch: Sequence[Callable[[int, Mapping[str, float]], None]], *, verbose: bool
    ) -> None:
        self._epochs = epochs
        self._on_epoch = on_epoch
        self._verbose = verbose
        self._patience: dict[str, Patience] = {}
        self._bar: Any = None
        self._shown: Any = None

    def __enter__(self) -> News:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._end_bar()

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if "late" in event:
            # Spark's tasks, each of which is watched over on its own machine, tell of the same thing each for itself.
            if self._patience.setdefault(event["what"], Patience()).is_over(event["seconds"]):
                self._tell_late(event["late"])
            return
        if "logs" not in event:
            self._progress(event)
            return
        self._end_bar()
        epoch, logs = int(event["epoch"]), event["logs"]
        values = " - ".join(f"{name}: {value:.4f}" for name, value in logs.items() if name not in ABOUT_SPEED)
        self.line(f"Epoch {epoch}/{self._epochs} - {logs['rows_per_second']:,.0f} rows/s - {values}")
        for function in self._on_epoch:
            with self._told_if_long(f"the callback {_name_of(function)} is still running"):
                function(epoch, logs)

    def line(self, text: str) -> None:
        """Print, if we are to."""
        if self._verbose:
            print(text)

    def _tell_late(self, text: str) -> None:
        """Tell of what keeps all waiting; who wants no lines gets it in the log."""
        self._end_bar()
        self.line(text)
        if not self._verbose:
            _log.warning(text)

    @contextmanager
    def _told_if_long(self, what: str) -> Iterator[None]:
        over = threading.Event()

        def tell() -> None:
            patience, begun = Patience(), time.monotonic()
            while not over.wait(begun + patience.until - time.monotonic()):
                if patience.is_over(after := time.monotonic() - begun):
                    self._tell_late(f"{what} after {after:.0f} s")

        threading.Thread(target=tell, name="friesian-late", daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def _progress(self, event: Event) -> None:
        if self._bar is None and not self._start_bar(event):
            return
        rate = event["rows"] / event["seconds"]
        self._bar.update(
            self._shown,
            total=event["steps"],
            completed=event["step"],
            description=f"epoch {event['epoch']}/{self._epochs}",
            rate=f"{rate:,.0f} rows/s",
        )

    def _start_bar(self, event: Event) -> bool:
        console = _console() if self._verbose else None
        if console is None:
            return False
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"))
        rate = TextColumn("{task.fields[rate]}")
        self._bar = Progress(*columns, rate, TimeRemainingColumn(), console=console, transient=True)
        self._bar.start()
        # From here, which after a resume is in the middle: what is left is estimated from what follows.
        self._shown = self._bar.add_task("", rate="", total=event["steps"], completed=event["step"])
        return True

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _name_of(function: Callable[..., None]) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _console() -> Any:
    """Where to draw a bar, or None."""
    if os.environ.get("FRIESIAN_PROGRESS") == "0":
        return None
    from rich.console import Console

    console = Console(stderr=True)
    return console if console.is_interactive else None
