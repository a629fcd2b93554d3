"""List columns in NumPy's terms, the keys of rows, and the operations that give lists one length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops.base import InPlace, Op, column, put


@dataclass(frozen=True, slots=True)
class Lists:
    """A list column: row i is the `lengths[i]` elements of `values` from `starts[i]`; a null row has length -1."""

    starts: Any
    lengths: Any
    values: Any

    @property
    def present(self) -> Any:
        """Which rows are not null, as a NumPy array."""
        return self.lengths >= 0

    @property
    def sizes(self) -> Any:
        """The lengths, with 0 for null rows."""
        return self.lengths.clip(min=0)


def is_list(kind: Any) -> bool:
    """Whether an Arrow type is that of lists."""
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def lists_of(array: Any) -> Lists:
    """The lists of an Arrow list array, sliced or not."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    ends = array.offsets.to_numpy().astype(np.int64)
    lengths = np.diff(ends)
    if array.null_count:
        lengths[np.asarray(array.is_null())] = -1
    return Lists(np.ascontiguousarray(ends[:-1]), lengths, array.values)


def list_array(lengths: Any, values: Any) -> Any:
    """The list array of these lengths, -1 for null, over values that follow each other without gaps."""
    import numpy as np
    import pyarrow as pa

    ends = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths.clip(min=0), out=ends[1:])
    if ends[-1] > np.iinfo(np.int32).max:
        raise InvalidInputError(f"a batch would hold {ends[-1]} list elements; use shorter lists, or fewer draws")
    absent = lengths < 0
    mask = pa.array(absent) if absent.any() else None
    return pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), values, mask=mask)


def runs(counts: Any, limit: int) -> Iterator[tuple[int, int]]:
    """Runs [begin, end) of things, of which each counts about `limit` or is one thing that counts more."""
    import numpy as np

    run = np.cumsum(counts) // limit
    bounds = [0, *(np.flatnonzero(np.diff(run)) + 1).tolist(), len(counts)]
    return ((begin, end) for begin, end in pairwise(bounds) if end > begin)


def plain_values(array: Any) -> Any:
    """The numbers of an Arrow array as a NumPy array, in place; None if it has nulls, or other values."""
    import pyarrow as pa

    kind = array.type
    if array.null_count or not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    return array.to_numpy(zero_copy_only=True)


def row_keys(batch: Any, columns: Sequence[str], seed: int) -> Any:
    """A key for every row that depends on the seed and on its values in `columns`, and on nothing else.

    Returns
    -------
    ndarray of uint64, shape (n,)
    """
    keys = _core.start_keys(seed % 2**64, batch.num_rows)
    for name in columns:
        keys = _mixed(column(batch, name), keys)
    return keys


def _mixed(array: Any, keys: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_map(array.type):
        if array.null_count and array.offset:  # Arrow takes no mask beside sliced offsets
            array = array.take(pa.array(range(len(array))))
        array = pa.ListArray.from_arrays(
            array.offsets, array.values, mask=array.is_null() if array.null_count else None
        )
    if is_list(array.type):
        lists = lists_of(array)
        elements = _mixed(lists.values, _core.start_keys(0, len(lists.values)))
        return _core.mix_lists(elements, lists.starts, lists.lengths, keys)
    if pa.types.is_struct(array.type):
        keys = _core.mix_column(array.is_null(), keys)
        for field in array.flatten():
            keys = _mixed(field, keys)
        return keys
    return _core.mix_column(_as_plain(array), keys)


def _as_plain(array: Any) -> Any:
    """Values that the kernel reads, the same for what a DataFrame and a file give of one value."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_floating(kind):
        return array.cast(pa.float64())
    if pa.types.is_timestamp(kind):  # Spark keeps microseconds, whatever the file has
        return array.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
    if pa.types.is_date(kind):
        return array.cast(pa.date32()).cast(pa.int32())
    if pa.types.is_temporal(kind):
        return array.cast(pa.int64() if kind.bit_width == 64 else pa.int32())
    if pa.types.is_null(kind):
        return array.cast(pa.int8())
    if pa.types.is_decimal(kind):
        return array.cast(pa.string())
    if pa.types.is_fixed_size_binary(kind):
        array = array.cast(pa.binary())
    if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
        return array.view(pa.string() if pa.types.is_binary(array.type) else pa.large_string())
    return array


@dataclass(frozen=True, slots=True)
class Mask(Op):
    """A last column of as many ones as the list is long, then zeros, `seq_len` int32 in all; null for a null list."""

    column: str
    seq_len: int
    name = "mask"

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (f"{self.column}_mask",)

    @property
    def params(self) -> dict[str, Any]:
        return {"seq_len": self.seq_len}

    @classmethod
    def create(cls, inputs: Sequence[str], outputs: Sequence[str], params: Any, resources: Any) -> Mask:
        return cls(inputs[0], params["seq_len"])

    def apply(self, batch: Any) -> Any:
        import numpy as np
        import pyarrow as pa

        lists = lists_of(column(batch, self.column))
        ones = _core.mask_lists(lists.lengths[lists.present], self.seq_len)
        lengths = np.where(lists.present, self.seq_len, -1)
        return put(batch, {self.outputs[0]: list_array(lengths, pa.array(ones))}, last=True)


@dataclass(frozen=True, slots=True)
class Pad(InPlace):
    """Lists of `seq_len` elements: the last ones of longer lists, shorter ones with `token` at the end.

    A list of lists gets rows of tokens as long as its first row. Null lists stay null.
    """

    column: str
    seq_len: int
    token: Any
    name = "pad"

    def apply(self, batch: Any) -> Any:
        import numpy as np

        lists = lists_of(column(batch, self.column))
        lengths = np.where(lists.present, self.seq_len, -1)
        starts, sizes = lists.starts[lists.present], lists.lengths[lists.present]
        padded = self._padded(lists.values, starts, sizes)
        return put(batch, {self.column: list_array(lengths, padded)})

    def _padded(self, values: Any, starts: Any, sizes: Any) -> Any:
        import numpy as np
        import pyarrow as pa

        numbers = plain_values(values)
        if numbers is not None:
            token = token_array(self.token, values.type).to_numpy()
            return pa.array(_core.pad_lists(numbers, starts, sizes, self.seq_len, token), values.type)
        if is_list(values.type):
            if pa.types.is_fixed_size_list(values.type):
                values = values.cast(pa.list_(values.type.value_type))
            widths = lists_of(values).sizes
            first = np.where(sizes > 0, widths[starts.clip(max=max(len(widths) - 1, 0))], 0) if len(widths) else sizes
            inner = pa.repeat(token_array(self.token, values.type.value_type)[0], int(first.sum()))
            fillers, filler = list_array(first, inner).cast(values.type), len(values) + np.arange(len(sizes))
        else:
            fillers, filler = token_array(self.token, values.type), np.full(len(sizes), len(values))
        place = np.arange(self.seq_len)
        kept = (starts + (sizes - self.seq_len).clip(min=0))[:, None] + place
        chosen = np.where(place < sizes[:, None], kept, filler[:, None])
        return pa.concat_arrays([values, fillers]).take(pa.array(chosen.ravel()))


def token_array(token: Any, kind: Any) -> Any:
    """The token as an Arrow array of one element of that type.

    Raises
    ------
    InvalidInputError
        If it is a text and they are numbers, or it does not fit.
    """
    import pyarrow as pa

    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.array([str(token)], kind)
    if isinstance(token, str):
        raise InvalidInputError(
            f"Failed to convert mask_token type java.lang.String to the element type of column {_java_name(kind)}"
        )
    try:
        return pa.array([int(token) if pa.types.is_integer(kind) else token]).cast(kind)
    except (pa.ArrowException, OverflowError, ValueError) as error:
        raise InvalidInputError(f"mask_token {token!r} does not fit elements of type {kind}") from error


def _java_name(kind: Any) -> str:
    names = {"int32": "Integer", "int64": "Long", "float": "Float", "double": "Double", "int16": "Short"}
    text = str(kind)
    return f"java.lang.{names[text]}" if text in names else text
