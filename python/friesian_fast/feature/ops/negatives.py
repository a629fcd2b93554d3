"""Negatives: items drawn by chance that are none of the known positives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops.base import Op, column, put
from friesian_fast.feature.ops.lists import Lists, list_array, lists_of, row_keys
from friesian_fast.feature.ops.unfold import DRAWN, Unfold, UnfoldNegatives, in_pieces


def draw(keys: Any, counts: Any, sets: Lists, sets_of: Any, item_size: int) -> Any:
    """For each key `counts[i]` items from 1 to `item_size` - 1 that are not in the set `sets_of[i]`.

    Parameters
    ----------
    keys : ndarray of uint64, shape (n,)
    counts : ndarray of int64, shape (n,)
    sets : Lists
        Of an Arrow array of integers; nulls and what is no item count for nothing.
    sets_of : ndarray of int64, shape (n,)
    item_size : int

    Returns
    -------
    pyarrow.Array
        The draws of all keys, one after the other, in the type of the sets' values.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = sets.values.type
    wide = np.int64 if kind.bit_width == 64 or kind == pa.uint32() else np.int32
    values = pc.fill_null(sets.values, 0).to_numpy().astype(wide)
    ends = np.zeros(len(keys) + 1, np.int64)
    np.cumsum(counts, out=ends[1:])
    drawn, failed = _core.draw_negatives(keys, ends, values, sets.starts, sets.sizes, sets_of, item_size - 1)
    if failed is not None:
        raise InvalidInputError(
            f"a row has no possible negative: its positives are all of the items from 1 to {item_size - 1}; "
            "give a larger item_size, or drop such rows"
        )
    return pa.array(drawn).cast(kind)


@dataclass(frozen=True, slots=True)
class NegativeHistory(Op):
    """A last column ``neg_<column>`` with `neg_num` items for each element of a history of items.

    They are none of the whole history, or with `of_element` only not that element. The draws depend on the seed and
    the row's values in `keys`. A null history gives null, a null element draws like others.
    """

    column: str
    keys: tuple[str, ...]
    item_size: int
    neg_num: int
    seed: int
    of_element: bool
    name = "negative_history"

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.column, *self.keys)))

    @property
    def outputs(self) -> tuple[str, ...]:
        return (f"neg_{self.column}",)

    @property
    def params(self) -> dict[str, Any]:
        chosen = {"item_size": self.item_size, "neg_num": self.neg_num, "seed": self.seed}
        return {"column": self.column, "keys": list(self.keys), **chosen, "of_element": self.of_element}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> NegativeHistory:
        given = dict(params)
        return cls(given.pop("column"), tuple(given.pop("keys")), **given)

    def stream(self, batch: Any) -> Iterator[Any]:
        lengths = lists_of(column(batch, self.column)).sizes
        for piece in in_pieces(batch, lengths * (self.neg_num + 1)):
            yield self.apply(piece)

    def apply(self, batch: Any) -> Any:
        import numpy as np

        lists = lists_of(column(batch, self.column))
        keys = row_keys(batch, self.keys, self.seed)
        if self.of_element:
            drawn = self._for_elements(lists, keys)
        else:
            everyone = np.arange(batch.num_rows)
            drawn = self._named(keys, lists.sizes * self.neg_num, lists, everyone)
        inner = list_array(np.full(int(lists.sizes.sum()), self.neg_num, np.int64), drawn)
        return put(batch, {self.outputs[0]: list_array(lists.lengths, inner)}, last=True)

    def _for_elements(self, lists: Lists, keys: Any) -> Any:
        """Draws for each element by a key of its own, and without its own item only."""
        import numpy as np

        sizes = lists.sizes
        place = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        own = _core.mix_column(place, np.repeat(keys, sizes))
        starts = np.repeat(lists.starts, sizes) + place
        elements = Lists(starts, np.ones(len(own), np.int64), lists.values)
        counts = np.full(len(own), self.neg_num, np.int64)
        return self._named(own, counts, elements, np.arange(len(own)))

    def _named(self, keys: Any, counts: Any, sets: Lists, sets_of: Any) -> Any:
        try:
            return draw(keys, counts, sets, sets_of, self.item_size)
        except InvalidInputError as error:
            raise InvalidInputError(f"column '{self.column}': {error}") from error


@dataclass(frozen=True, slots=True)
class NegativeSamples(Unfold):
    """Of each row `neg_num` rows with another item and label 0, then itself with label 1; item and label move last.

    The draws depend on the seed and the row's values in `keys`; of a null item they may be any.
    """

    item: str
    label: str
    keys: tuple[str, ...]
    item_size: int
    neg_num: int
    seed: int
    name = "negative_samples"

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.item, *self.keys)))

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.item, self.label)

    @property
    def params(self) -> dict[str, Any]:
        chosen = {"item_size": self.item_size, "neg_num": self.neg_num, "seed": self.seed}
        return {"item": self.item, "label": self.label, "keys": list(self.keys), **chosen}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> NegativeSamples:
        given = dict(params)
        return cls(given.pop("item"), given.pop("label"), tuple(given.pop("keys")), **given)

    def growth(self, batch: Any) -> Any:
        import numpy as np

        return np.full(batch.num_rows, (self.neg_num + 1) * (batch.num_columns + 1), np.int64)

    def apply(self, batch: Any) -> Any:
        import numpy as np

        everyone = np.arange(batch.num_rows)
        own = Lists(everyone, np.ones(batch.num_rows, np.int64), column(batch, self.item))
        keys = row_keys(batch, self.keys, self.seed)
        return with_negatives(batch, self.item, self.label, self._drawn(keys, own, everyone))

    def _drawn(self, keys: Any, sets: Lists, sets_of: Any) -> Any:
        import numpy as np

        counts = np.full(len(keys), self.neg_num, np.int64)
        try:
            return list_array(counts, draw(keys, counts, sets, sets_of, self.item_size))
        except InvalidInputError as error:
            raise InvalidInputError(f"column '{self.item}': {error}") from error


def with_negatives(batch: Any, item: str, label: str, drawn: Any) -> Any:
    """The rows of `UnfoldNegatives` for negatives that are at hand."""
    return UnfoldNegatives(item, label).apply(put(batch, {DRAWN: drawn}))
