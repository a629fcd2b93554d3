"""The input of one worker: its batches of an epoch, in an order that the seed, the epoch and the data decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import numpy as np

from friesian_fast.errors import InvalidInputError
from friesian_fast.train.columns import Array, first_row, prefetched, read_stretch, take
from friesian_fast.train.fields import Field, columns_of
from friesian_fast.train.order import Piece, Share, Window, shares, shares_in_order, shuffled_steps, stretch, windows
from friesian_fast.train.source import Source

PREFETCH_BATCHES = 4


@dataclass(frozen=True, slots=True)
class Draw:
    """Chance for a batch: the step's generator, and the place of the worker's rows among the step's `total` rows.

    Whoever draws for all `total` rows and keeps those from `offset` on gets the same rows on any number of workers.
    """

    rng: np.random.Generator
    offset: int
    total: int


class Extend(Protocol):
    """Adds rows to a batch."""

    @property
    def columns(self) -> list[str]:
        """Columns of the data that it takes, of ids."""
        ...

    def __call__(self, columns: dict[str, Array], draw: Draw) -> dict[str, Array]:
        """The worker's columns by name, labels included, with more rows."""
        ...

    def also_without(self, source: Source) -> Extend:
        """One for other data, of which it draws none of the positives."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """A worker's rows of one step.

    Parameters
    ----------
    inputs, labels : mapping of str to ndarray of shape (n, …)
    factor : float
        The share of the step's rows that are here; 0 if the one row here only stands in for none.
    """

    inputs: dict[str, Array]
    labels: dict[str, Array]
    factor: float

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A data set as one worker sees it.

    Parameters
    ----------
    pieces : sequence of Piece
    features, labels : sequence of Field
    batch_size : int
        Of all workers together.
    buffer_rows : int
        How many rows are held and shuffled at a time, by all workers together.
    rank, world : int
    seed : int
    extend : callable, optional
        Adds rows to each batch.
    others : sequence of Field
        What `extend` takes and the model does not; of the labels it makes those that the data lacks.
    """

    pieces: Sequence[Piece]
    features: Sequence[Field]
    labels: Sequence[Field]
    batch_size: int
    buffer_rows: int
    rank: int = 0
    world: int = 1
    seed: int = 0
    extend: Extend | None = None
    others: Sequence[Field] = ()

    def __post_init__(self) -> None:
        rows = sum(piece.rows for piece in self.pieces)
        if rows < self.world:
            raise InvalidInputError(
                f"rank {rows} has no rows: there are {rows} rows for {self.world} workers; use fewer workers"
            )

    def plan(self, epoch: int | None) -> list[Window]:
        """The windows of an epoch; None is the order of the files."""
        rng = None if epoch is None else np.random.default_rng([self.seed, epoch])
        buffer_rows = max(self.buffer_rows, self.batch_size, 2 * self.world)
        return windows(self.pieces, self.batch_size, buffer_rows, rng)

    def steps(self, epoch: int | None) -> int:
        """How many batches an epoch has, on every worker."""
        return sum(window.steps for window in self.plan(epoch))

    def first_steps(self, epoch: int | None) -> list[int]:
        """The steps of an epoch that begin a window, whose rows are read before it."""
        return list(accumulate((window.steps for window in self.plan(epoch)[:-1]), initial=0))

    def sample(self) -> Batch:
        """The first row, with what is added to it: what batches look like."""
        fields = self._read()
        row = first_row(self.pieces[0], columns_of(fields))
        columns = take(read_stretch([row], 0, 1, fields), fields, np.zeros(1, np.int64))
        return self._batch(columns, Share(np.zeros(1, np.int64), 0, 1, 1.0), None, 0)

    def batches(self, epoch: int | None, skip: int = 0) -> Iterator[Batch]:
        """This worker's batches of an epoch, read ahead by a thread.

        Parameters
        ----------
        epoch : int or None
            None leaves the rows in the order of the files.
        skip : int, default 0
            Leave out so many at the beginning, without reading what only they need.
        """
        return prefetched(self._batches(epoch, skip), PREFETCH_BATCHES)

    def _batches(self, epoch: int | None, skip: int) -> Iterator[Batch]:
        fields = self._read()
        first = 0
        for window in self.plan(epoch):
            if first + window.steps > skip:
                start, stop = stretch(window.rows, self.rank, self.world)
                columns = read_stretch(window.pieces, start, stop, fields) if stop > start else {}
                for step, share in self._shares(window, epoch):
                    if first + step >= skip:
                        yield self._batch(take(columns, fields, share.rows), share, epoch, first + step)
            first += window.steps

    def _read(self) -> list[Field]:
        return [*self.features, *(label for label in self.labels if not label.is_made), *self.others]

    def _shares(self, window: Window, epoch: int | None) -> Iterator[tuple[int, Share]]:
        if epoch is None:
            return shares_in_order(window.rows, self.batch_size, *stretch(window.rows, self.rank, self.world))
        rng = np.random.default_rng([self.seed, epoch, window.number])
        step_of = shuffled_steps(window.rows, window.steps, rng)
        return enumerate(shares(step_of, window.steps, self.rank, self.world))

    def _batch(self, columns: dict[str, Array], share: Share, epoch: int | None, step: int) -> Batch:
        if self.extend is not None:
            # The same on every worker; each takes its part.
            rng = np.random.default_rng([self.seed, 0 if epoch is None else epoch + 1, step, 1])
            columns = self.extend(columns, Draw(rng, share.offset, share.total))
        labels = {field.name: columns[field.name] for field in self.labels}
        inputs = {field.name: columns[field.name] for field in self.features}
        return Batch(inputs, labels, share.factor)
