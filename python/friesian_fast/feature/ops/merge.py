"""Several columns as one list column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops.base import Op, column, put
from friesian_fast.feature.ops.cast import cast_array


@dataclass(frozen=True, slots=True)
class MergeColumns(Op):
    """The columns' values of each row as a list of their common type, as last column; the columns are dropped."""

    columns: tuple[str, ...]
    output: str
    name = "merge_columns"

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.columns

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> MergeColumns:
        return cls(tuple(inputs), outputs[0])

    def apply(self, batch: Any) -> Any:
        import numpy as np
        import pyarrow as pa

        arrays = [column(batch, name) for name in self.columns]
        kind = common_type({name: array.type for name, array in zip(self.columns, arrays, strict=True)})
        cast = [array if array.type == kind else cast_array(array, str(kind)) for array in arrays]
        rows, width = batch.num_rows, len(arrays)
        by_row = np.arange(rows * width, dtype=np.int64).reshape(width, rows).T.ravel()
        values = pa.concat_arrays(cast).take(pa.array(by_row))
        offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * np.int32(width))
        return put(batch, {self.output: pa.ListArray.from_arrays(offsets, values)}, last=True, drop=self.columns)


def common_type(types: Mapping[str, Any]) -> Any:
    """The Arrow type that columns of these types share in a list: Spark's coercion before its ANSI mode.

    Raises
    ------
    InvalidInputError
        If there is none; names two of the columns.
    """
    (first, kind), *others = types.items()
    for name, other in others:
        found = _common(kind, other)
        if found is None:
            raise InvalidInputError(
                f"columns '{first}' and '{name}' have types {kind} and {other}, which share none; cast one of them"
            )
        kind = found
    return kind


def _common(kind: Any, other: Any) -> Any:
    import pyarrow as pa

    if kind == other:
        return kind
    plain = [_is_plain(one) for one in (kind, other)]
    if all(plain) and (_is_text(kind) or _is_text(other)):
        return pa.string()
    numbers = [pa.types.is_integer(one) or pa.types.is_floating(one) for one in (kind, other)]
    if not all(numbers):
        return None
    if pa.types.is_integer(kind) and pa.types.is_integer(other):
        return max(kind, other, key=lambda one: one.bit_width)
    return max((one for one in (kind, other) if pa.types.is_floating(one)), key=lambda one: one.bit_width)


def _is_plain(kind: Any) -> bool:
    import pyarrow as pa

    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return bool(number or pa.types.is_boolean(kind) or _is_text(kind))


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
