"""What tells one category from another, and the fold that a row is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops.base import Op, put
from friesian_fast.feature.ops.lists import row_keys


@dataclass(frozen=True, slots=True)
class RowFold(Op):
    """A fold from 0 to below `folds` (int32), drawn by a hash of the seed and of what stands in these columns.

    So it does not depend on which rows there are and where they lie; equal rows share a fold.
    """

    columns: tuple[str, ...]
    output: str
    folds: int
    seed: int = 0
    name = "row_fold"

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.columns

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    @property
    def params(self) -> dict[str, Any]:
        return {"folds": self.folds, "seed": self.seed}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> RowFold:
        return cls(tuple(inputs), outputs[0], params["folds"], params["seed"])

    def apply(self, batch: Any) -> Any:
        import numpy as np
        import pyarrow as pa

        drawn = row_keys(batch, self.columns, self.seed) % np.uint64(self.folds)
        return put(batch, {self.output: pa.array(drawn.astype(np.int32))})


def key_texts(arrays: Sequence[Any], names: Sequence[str]) -> Any:
    """One text per row, different for different values; null where any of them is null.

    Of several columns, each text but the last is led by its length, so that no two rows of texts join to the same.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [_text(array, name) for array, name in zip(arrays, names, strict=True)]
    if len(texts) == 1:
        return texts[0]
    lengths = [pc.binary_length(text).cast(pa.string()) for text in texts[:-1]]
    led = [part for pair in zip(lengths, texts, strict=False) for part in pair]
    return pc.binary_join_element_wise(*led, texts[-1], ":")


def is_category(kind: Any) -> bool:
    """Whether a column of that Arrow type can be told apart by `key_texts`."""
    import pyarrow as pa

    kinds = pa.types
    tests = (kinds.is_string, kinds.is_large_string, kinds.is_integer, kinds.is_floating, kinds.is_boolean)
    return any(test(kind) for test in (*tests, kinds.is_decimal, kinds.is_date, kinds.is_timestamp))


def normal(array: Any) -> Any:
    """The array, of floats with one zero (no -0.0) and one NaN, as keys need it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(array.type):
        return array
    positive = pc.add(array, pa.scalar(0.0, array.type))
    return pc.if_else(pc.is_nan(positive), pa.scalar(float("nan"), array.type), positive)


def _plain(array: Any, name: str) -> Any:
    """Texts, integers and booleans as they are, floats as `normal` doubles, all else as one of these."""
    import pyarrow as pa

    kind = array.type
    if not is_category(kind):
        raise InvalidInputError(f"column '{name}' of type {kind} cannot be told apart by value; cast or drop it")
    if pa.types.is_timestamp(kind):
        return array.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    if pa.types.is_floating(kind):
        return normal(array.cast(pa.float64()))
    if pa.types.is_decimal(kind) or pa.types.is_date(kind) or pa.types.is_large_string(kind):
        return array.cast(pa.string())
    return array


def _text(array: Any, name: str) -> Any:
    import pyarrow as pa

    return _plain(array, name).cast(pa.string())
