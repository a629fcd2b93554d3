"""Operations that make several rows of one; what they make of a batch comes in pieces of bounded size."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops.base import Op, column, put
from friesian_fast.feature.ops.lists import Lists, list_array, lists_of, plain_values, row_keys, runs

# Values made at once: some megabytes.
PIECE_VALUES = 1 << 21

# How many rows at the start of a block are there for the histories of the others only.
CONTEXT = "__friesian_context__"
# Negatives of a row, before rows are made of them.
DRAWN = "__friesian_drawn__"


def in_pieces(batch: Any, growth: Any) -> Iterator[Any]:
    """Slices of a batch, of which each makes about `PIECE_VALUES` values or is one row; row i makes `growth[i]`."""
    if batch.num_rows == 0:
        yield batch
    for begin, end in runs(growth, PIECE_VALUES):
        yield batch.slice(begin, end - begin)


class Unfold(Op):
    """An operation after which there are more or fewer rows than before; what follows sees its pieces."""

    keeps_rows: ClassVar[bool] = False

    @abstractmethod
    def growth(self, batch: Any) -> Any:
        """About how many values the operation makes of each row, as a NumPy array of int64."""

    def stream(self, batch: Any) -> Iterator[Any]:
        for piece in in_pieces(batch, self.growth(batch)):
            yield self.apply(piece)


@dataclass(frozen=True, slots=True)
class UnfoldHistory(Unfold):
    """Rows with their histories, from blocks of one user's rows, as ``feature/history.py`` writes them.

    A block has the user, `CONTEXT` and a list of each of the `others`. Each of its rows behind the context becomes a
    row; after each column of `histories` comes the list of its values in the up to `max_len` rows before.
    """

    user: str
    others: tuple[str, ...]
    histories: tuple[str, ...]
    max_len: int
    name = "unfold_history"

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.user, CONTEXT, *self.others)

    @property
    def outputs(self) -> tuple[str, ...]:
        names = [self.user, *self.others]
        return tuple(one for name in names for one in self._named(name))

    def _named(self, name: str) -> tuple[str, ...]:
        return (name, f"{name}_hist_seq") if name in self.histories else (name,)

    @property
    def params(self) -> dict[str, Any]:
        return {"histories": list(self.histories), "max_len": self.max_len}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> UnfoldHistory:
        user, _, *others = inputs
        return cls(user, tuple(others), tuple(params["histories"]), params["max_len"])

    def growth(self, batch: Any) -> Any:
        import numpy as np

        sizes = lists_of(column(batch, self.others[0])).lengths
        width = len(self.others) + len(self.histories) * np.minimum(sizes, self.max_len)
        return (sizes - self._context(batch)) * width

    def _context(self, batch: Any) -> Any:
        import numpy as np

        return column(batch, CONTEXT).to_numpy().astype(np.int64)

    def apply(self, batch: Any) -> Any:
        import numpy as np
        import pyarrow as pa

        sizes = lists_of(column(batch, self.others[0])).lengths
        starts = np.cumsum(sizes) - sizes
        made = sizes - self._context(batch)
        block = np.repeat(np.arange(batch.num_rows), made)
        rows = np.arange(len(block)) + np.repeat(np.cumsum(sizes) - np.cumsum(made), made)
        lengths = np.minimum(rows - starts[block], self.max_len)
        user = column(batch, self.user)
        values = {name: _gapless(column(batch, name)) for name in self.others}
        if self.user in self.histories:
            values[self.user] = user.take(pa.array(np.repeat(np.arange(batch.num_rows), sizes)))
        columns = {self.user: user.take(pa.array(block))}
        for name in (self.user, *self.others):
            if name != self.user:
                columns[name] = values[name].take(pa.array(rows))
            if name in self.histories:
                columns[f"{name}_hist_seq"] = list_array(lengths, windows(values[name], rows - lengths, lengths))
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def windows(values: Any, begins: Any, lengths: Any) -> Any:
    """The values of the windows [begins[i], begins[i] + lengths[i]), one window after the other."""
    import numpy as np
    import pyarrow as pa

    numbers = plain_values(values)
    if numbers is not None:
        return pa.array(_core.window_values(numbers, begins, lengths), values.type)
    return values.take(pa.array(_core.window_values(np.arange(len(values)), begins, lengths)))


def _gapless(array: Any) -> Any:
    """The elements of lists that follow each other, as the block files have them."""
    offsets = array.offsets
    first = offsets[0].as_py()
    return array.values.slice(first, offsets[-1].as_py() - first)


@dataclass(frozen=True, slots=True)
class UnfoldNegatives(Unfold):
    """Of each row the rows of its negatives, label 0, then itself, label 1; item and label move last.

    The negatives are lists in the column `DRAWN`, which is dropped.
    """

    item: str
    label: str
    name = "unfold_negatives"

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.item, DRAWN)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.item, self.label)

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> UnfoldNegatives:
        return cls(inputs[0], outputs[1])

    def growth(self, batch: Any) -> Any:
        return (lists_of(column(batch, DRAWN)).lengths + 1) * batch.num_columns

    def apply(self, batch: Any) -> Any:
        import numpy as np
        import pyarrow as pa

        drawn = lists_of(column(batch, DRAWN))
        ends = np.cumsum(drawn.lengths + 1)
        made = int(ends[-1]) if len(ends) else 0
        positive = np.zeros(made, bool)
        positive[ends - 1] = True
        rows = pa.array(np.repeat(np.arange(batch.num_rows), drawn.lengths + 1))
        kept = batch.drop_columns([DRAWN]).take(rows)
        begin = int(drawn.starts[0]) if len(drawn.starts) else 0
        from_drawn = begin + np.cumsum(~positive) - 1
        items = pa.concat_arrays([column(batch, self.item), drawn.values])
        chosen = np.where(positive, np.asarray(rows), batch.num_rows + from_drawn)
        labels = pa.array(positive.astype(np.int32))
        return put(kept, {self.item: items.take(pa.array(chosen)), self.label: labels}, last=True)


@dataclass(frozen=True, slots=True)
class SampleListwise(Unfold):
    """Of each row `lists` rows, with the same `items` elements drawn of each list column.

    Rows whose lists are shorter are dropped. With `replace` the samples stand for the lists, else they are last, as
    ``sampled_<column>``. The draws depend on the seed and the row's values in `keys`.
    """

    columns: tuple[str, ...]
    keys: tuple[str, ...]
    lists: int
    items: int
    seed: int
    replace: bool
    name = "sample_listwise"

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.columns, *self.keys)))

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.columns if self.replace else tuple(f"sampled_{name}" for name in self.columns)

    @property
    def params(self) -> dict[str, Any]:
        chosen = {"lists": self.lists, "items": self.items, "seed": self.seed, "replace": self.replace}
        return {"columns": list(self.columns), "keys": list(self.keys), **chosen}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> SampleListwise:
        given = dict(params)
        return cls(tuple(given.pop("columns")), tuple(given.pop("keys")), **given)

    def growth(self, batch: Any) -> Any:
        import numpy as np

        made = self.lists * (batch.num_columns + self.items * len(self.columns))
        return np.full(batch.num_rows, made, np.int64)

    def apply(self, batch: Any) -> Any:
        import numpy as np
        import pyarrow as pa

        sizes = self._sizes({name: lists_of(column(batch, name)) for name in self.columns})
        batch = batch.filter(pa.array(sizes >= self.items)) if (sizes < self.items).any() else batch
        sizes = sizes[sizes >= self.items]
        keys = row_keys(batch, self.keys, self.seed)
        drawn = _core.sample_positions(keys, sizes, self.lists, self.items)
        rows = pa.array(np.repeat(np.arange(batch.num_rows), self.lists))
        samples = {}
        for name, output in zip(self.columns, self.outputs, strict=True):
            lists = lists_of(column(batch, name))
            places = np.repeat(lists.starts, self.lists * self.items) + drawn
            lengths = np.full(len(rows), self.items, np.int64)
            samples[output] = list_array(lengths, lists.values.take(pa.array(places)))
        kept = batch.drop_columns(list(self.columns)) if self.replace else batch
        repeated = kept.take(rows) if kept.num_columns else kept
        everything = {**dict(zip(repeated.schema.names, repeated.columns, strict=True)), **samples}
        # A dropped column of an output's name may still be there.
        others = [name for name in batch.schema.names if name not in self.outputs]
        names = batch.schema.names if self.replace else [*others, *self.outputs]
        return pa.RecordBatch.from_arrays([everything[name] for name in names], names=names)

    def _sizes(self, lists: Mapping[str, Lists]) -> Any:
        (first, one), *others = lists.items()
        for name, other in others:
            if (one.lengths != other.lengths).any():
                row = int((one.lengths != other.lengths).argmax())
                raise InvalidInputError(
                    "Each row of the FeatureTable should have the same array length in the specified cols. "
                    f"Columns '{first}' and '{name}' differ in a row: {one.lengths[row]} and {other.lengths[row]} "
                    "(-1 is null)"
                )
        return one.lengths
