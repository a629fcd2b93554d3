"""Rows of what users did not choose, drawn anew for every batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.train.columns import read_piece
from friesian_fast.train.comm import Array
from friesian_fast.train.input import Draw
from friesian_fast.train.source import Source

_TRIES = 32  # draws of a row before one of the user's own is let through

Kind = Literal["uniform", "popularity", "in-batch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Negatives:
    """How to add rows to each batch: every row of the data, a positive, is followed by some with other items.

    A negative has the columns of its positive, but the item's columns are those of the drawn item and the label
    is 0. Items that the user has among the positives are not drawn; where 32 draws find no other, one is let
    through. Data without the label column gets it: 1 for its own rows.

    Parameters
    ----------
    items : pyarrow.Table or pandas.DataFrame
        A row per item: its id, and what other columns of items the model takes.
    item_col, user_col, label_col : str
        Columns of ids (integers), and of the label.
    per_positive : int, default 1
    kind : {"uniform", "popularity", "in-batch"}, default "uniform"
        Drawn from all items alike, by how often they are in the data, or from the other rows of the batch (those of
        the same worker, so with this kind the rows depend on how many workers there are).
    exclude : pyarrow.Table or pandas.DataFrame, optional
        Pairs of user and item not to draw; the data's own if left out. Of validation data its own are not drawn
        either.
    """

    items: Any
    item_col: str = "item"
    user_col: str = "user"
    label_col: str = "label"
    per_positive: int = 1
    kind: Kind = "uniform"
    exclude: Any = None

    @property
    def columns(self) -> list[str]:
        """Columns of the data that drawing needs."""
        return [self.user_col, self.item_col]

    def prepared(self, source: Source) -> Sampler:
        """Read the items and the positives.

        Raises
        ------
        InvalidInputError
            If a column is missing, an item comes twice, or the data has items that are not among them.
        """
        if self.kind not in ("uniform", "popularity", "in-batch") or self.per_positive < 1:
            raise InvalidInputError(
                f"negatives of kind '{self.kind}', {self.per_positive} per positive; use uniform, popularity or "
                "in-batch, and at least 1"
            )
        items = _columns(self.items, "the table of items")
        if self.item_col not in items:
            raise InvalidInputError(f"the table of items has no column '{self.item_col}'; it has {', '.join(items)}")
        ids = items[self.item_col].astype(np.int64)
        order = np.argsort(ids)
        items = {name: values[order] for name, values in items.items()}
        ids = ids[order]
        if (ids[1:] == ids[:-1]).any():
            twice = ids[1:][ids[1:] == ids[:-1]][0]
            raise InvalidInputError(f"the table of items has item {twice} twice; keep each once")
        user, item = self._positives(source, ids)
        at = _places(ids, item)
        weights = np.bincount(at, minlength=len(ids)) if self.kind == "popularity" else np.ones(len(ids))
        if self.exclude is not None:
            what = "the table of pairs to exclude"
            user, item = self._pairs(_columns(self.exclude, what), what)
            at = _places(ids, item)
        known = ids[at] == item
        chances = np.cumsum(weights) / weights.sum()
        return Sampler(plan=self, items=items, chances=chances, pairs=Pairs.of(user[known], at[known], len(ids)))

    def _positives(self, source: Source, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        user, item = self._pairs(_read(source, self.columns), source.name)
        unknown = ids[_places(ids, item)] != item
        if unknown.any():
            missing = item[unknown][0]
            raise InvalidInputError(f"{source.name} has item {missing}, which is not in the table of items")
        return user, item

    def _pairs(self, columns: dict[str, Array], where: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        for name in self.columns:
            if name not in columns:
                raise InvalidInputError(f"{where} has no column '{name}'; negatives need users and items")
        return columns[self.user_col].astype(np.int64), columns[self.item_col].astype(np.int64)


@dataclass(frozen=True, slots=True)
class Pairs:
    """A set of pairs of user and place of an item.

    Each is one number, of the user's place among those who have a pair: ids may be any of 64 bits, and a number of
    id and place would overflow.
    """

    users: NDArray[np.int64]
    numbers: NDArray[np.int64]
    items: int

    @classmethod
    def of(cls, user: NDArray[np.int64], place: NDArray[np.int64], items: int) -> Pairs:
        """Of `items` items."""
        users, at = np.unique(user, return_inverse=True)
        return cls(users, np.unique(at * items + place), items)

    def has(self, user: NDArray[np.int64], place: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which pairs are in the set."""
        if not len(self.users):
            return np.zeros(len(user), bool)
        at = _places(self.users, user)
        number = at * self.items + place
        found = self.numbers[_places(self.numbers, number)] == number
        known: NDArray[np.bool_] = found & (self.users[at] == user)
        return known

    def joined(self, user: NDArray[np.int64], place: NDArray[np.int64]) -> Pairs:
        """With more of them."""
        own, places = np.divmod(self.numbers, self.items)
        return Pairs.of(np.concatenate([self.users[own], user]), np.concatenate([places, place]), self.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """Adds the negatives of a batch: `items` by rising id, `chances` summed up, `pairs` that are not drawn."""

    plan: Negatives
    items: dict[str, Array]
    chances: NDArray[np.float64]
    pairs: Pairs

    def also_without(self, source: Source) -> Sampler:
        """That draws none of these positives either."""
        ids = self.items[self.plan.item_col].astype(np.int64)
        user, item = self.plan._positives(source, ids)
        return replace(self, pairs=self.pairs.joined(user, _places(ids, item)))

    @property
    def columns(self) -> list[str]:
        """Columns of the data that drawing needs."""
        return self.plan.columns

    def __call__(self, columns: dict[str, Array], draw: Draw) -> dict[str, Array]:
        """The batch's rows, then its negatives."""
        plan = self.plan
        if plan.label_col not in columns:
            columns = {**columns, plan.label_col: np.ones(len(columns[plan.item_col]), np.float32)}
        user = np.repeat(columns[plan.user_col].astype(np.int64), plan.per_positive)
        drawn = self._drawn(columns[plan.item_col], user, draw)
        extended = {}
        for name, values in columns.items():
            more = np.repeat(values, plan.per_positive, axis=0)
            if name == plan.label_col:
                more = np.zeros_like(more)
            elif name in self.items:
                more = self.items[name][drawn].astype(values.dtype)
            extended[name] = np.concatenate([values, more])
        return extended

    def _drawn(self, item: Array, user: NDArray[np.int64], draw: Draw) -> NDArray[np.int64]:
        """Places of the drawn items, those of one positive after the other."""
        count = len(self.chances)
        places = np.searchsorted(self.items[self.plan.item_col], item)
        chosen = np.zeros(len(user), np.int64)
        own = slice(draw.offset * self.plan.per_positive, draw.offset * self.plan.per_positive + len(user))
        taken = np.ones(len(user), bool)
        for _ in range(_TRIES):
            chance = draw.rng.random(draw.total * self.plan.per_positive)[own]
            if self.plan.kind == "in-batch":
                fresh = places[(chance * len(places)).astype(np.int64)]
            else:
                fresh = np.minimum(np.searchsorted(self.chances, chance, side="right"), count - 1)
            chosen = np.where(taken, fresh, chosen)
            taken = self.pairs.has(user, chosen)
            if not taken.any():
                break
        return chosen


def _places(ascending: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where values would stand, within the array."""
    return np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)


def _columns(table: Any, what: str) -> dict[str, Array]:
    """The columns of an Arrow table or a pandas frame."""
    import pyarrow as pa

    if not isinstance(table, pa.Table):
        if not hasattr(table, "columns"):
            raise InvalidInputError(f"{what} is a {type(table).__name__}; give an Arrow table or a pandas DataFrame")
        table = pa.Table.from_pandas(table, preserve_index=False)
    found = {}
    for name in table.column_names:
        column = table.column(name)
        if column.null_count:
            raise InvalidInputError(f"{what}: column '{name}' has missing values; fill them first")
        found[name] = _array(column)
    return found


def _array(column: Any) -> Array:
    import pyarrow as pa

    array = column.combine_chunks()
    if pa.types.is_fixed_size_list(array.type):
        values: Array = array.flatten().to_numpy().reshape(len(array), -1)
        return values
    plain: Array = column.to_numpy()
    return plain


def _read(source: Source, names: Sequence[str]) -> dict[str, Array]:
    present = [name for name in names if name in source.schema.names]
    parts = [read_piece(piece, present) for piece in source.pieces]
    return {name: np.concatenate([part.column(name).to_numpy() for part in parts]) for name in present}
