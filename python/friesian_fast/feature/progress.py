"""A bar on stderr while Spark tasks of ours run: only in a terminal, and only when they take more than a moment."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_DELAY_S = 1.0
_EVERY_S = 0.2


@contextmanager
def watched(session: Any, name: str, tasks: int) -> Iterator[tuple[Any, Any] | None]:
    """Show a bar while the block runs.

    ``FRIESIAN_PROGRESS=0`` turns it off, as does what turns rich off (``TTY_INTERACTIVE=0``).

    Parameters
    ----------
    session : pyspark.sql.SparkSession
    name : str
        What the tasks do.
    tasks : int
        How many there are.

    Yields
    ------
    tuple of pyspark.Accumulator or None
        To be told of tasks that ended, and of their rows; None if nothing is shown.
    """
    console = _console()
    if console is None:
        yield None
        return
    counts = session.sparkContext.accumulator(0), session.sparkContext.accumulator(0)
    over = threading.Event()
    drawer = threading.Thread(target=_draw, args=(console, name, tasks, counts, over), daemon=True)
    drawer.start()
    try:
        yield counts
    finally:
        over.set()
        drawer.join()


def _console() -> Any:
    """Where to draw, or None."""
    if os.environ.get("FRIESIAN_PROGRESS") == "0":
        return None
    from rich.console import Console

    console = Console(stderr=True)
    return console if console.is_interactive else None


def _draw(console: Any, name: str, tasks: int, counts: tuple[Any, Any], over: threading.Event) -> None:
    started = time.monotonic()
    if over.wait(_DELAY_S):
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("tasks"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        shown = bar.add_task(name, total=tasks, rate="")
        ended = False
        while not ended:
            ended = over.wait(_EVERY_S)
            rows = counts[1].value
            rate = f"{rows / (time.monotonic() - started):,.0f} rows/s" if rows else ""
            bar.update(shown, completed=counts[0].value, rate=rate)
