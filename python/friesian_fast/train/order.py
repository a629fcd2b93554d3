"""Which rows come in which step of an epoch and on which worker: decided by sizes and a seed, before any row is read.

An epoch is a list of windows, each some whole row groups that are held in memory at a time. All workers cut a window
into the same batches; each takes the rows of its own stretch of the window, so that a batch holds the same rows
however many workers share it, and nobody reads more than its stretch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Piece:
    """A row group of a Parquet file, or rows in memory: then `file` is what they are called."""

    file: str
    group: int
    rows: int
    table: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Window:
    """Row groups that are read together, and how many batches they give."""

    pieces: tuple[Piece, ...]
    rows: int
    steps: int
    number: int


def windows(
    pieces: Sequence[Piece], batch_size: int, buffer_rows: int, rng: np.random.Generator | None
) -> list[Window]:
    """Group the pieces, in random order if there is a generator, into windows of at least `buffer_rows` rows.

    A last window of less than half of that joins the one before, so that none holds more than 1.5 times
    `buffer_rows` and a row group.
    """
    order = list(range(len(pieces))) if rng is None else rng.permutation(len(pieces)).tolist()
    groups: list[list[Piece]] = [[]]
    rows = 0
    for at in order:
        if rows >= buffer_rows:
            groups.append([])
            rows = 0
        groups[-1].append(pieces[at])
        rows += pieces[at].rows
    if len(groups) > 1 and rows < buffer_rows / 2:
        last = groups.pop()
        groups[-1] += last
    sizes = [sum(piece.rows for piece in group) for group in groups]
    return [
        Window(tuple(group), size, -(-size // batch_size), number)
        for number, (group, size) in enumerate(zip(groups, sizes, strict=True))
    ]


def stretch(rows: int, rank: int, world: int) -> tuple[int, int]:
    """The first row of a worker's share of `rows` rows, and the first after it."""
    return rows * rank // world, rows * (rank + 1) // world


def shuffled_steps(rows: int, steps: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """The step of each row: every step takes about one row of each run of `steps` rows.

    So every worker's stretch gives every step the same number of rows, within two, and the steps are of equal size,
    within two. Where the runs begin is drawn as well.

    Returns
    -------
    ndarray of int32, shape (rows,)
    """
    runs = -(-rows // steps)
    slots = np.tile(np.arange(steps, dtype=np.int32), (runs, 1))
    rng.permuted(slots, axis=1, out=slots)
    return np.roll(slots.ravel(), int(rng.integers(steps)))[:rows]


@dataclass(frozen=True, slots=True)
class Share:
    """A worker's rows of one step.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
        Their places in the worker's stretch of the window.
    offset, total : int
        How many rows of the step come before them, on other workers, and how many it has in all.
    factor : float
        Makes the workers' mean gradients add up to that of the whole step. A worker without a row of its own takes
        the first of its stretch with a factor of 0.
    """

    rows: NDArray[np.int64]
    offset: int
    total: int
    factor: float


def shares(step_of: NDArray[np.int32], steps: int, rank: int, world: int) -> Iterator[Share]:
    """The worker's share of each step of a window, in order."""
    start, stop = stretch(len(step_of), rank, world)
    totals = np.bincount(step_of, minlength=steps)
    before = np.bincount(step_of[:start], minlength=steps)
    own = step_of[start:stop]
    order = np.argsort(own, kind="stable")
    ends = np.cumsum(np.bincount(own, minlength=steps))
    for step in range(steps):
        rows = order[ends[step - 1] if step else 0 : ends[step]]
        factor = len(rows) / totals[step]
        offset, total = int(before[step]), int(totals[step])
        if not len(rows):
            rows, offset = np.zeros(1, np.int64), 0
        yield Share(rows, offset, total, float(factor))


def shares_in_order(rows: int, batch_size: int, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, Share]]:
    """The rows ``[start, stop)`` of `rows` as they come, by batches with their numbers, for work without common steps.

    The rows are cut where the batches of all of them are cut, so that what is drawn for a batch can be drawn alike by
    all who have a part of it.
    """
    stop = rows if stop is None else stop
    for batch in range(start // batch_size, -(-stop // batch_size) if stop > start else 0):
        first, last = batch * batch_size, min((batch + 1) * batch_size, rows)
        low, high = max(first, start), min(last, stop)
        yield batch, Share(np.arange(low - start, high - start), low - first, last - first, 1.0)
