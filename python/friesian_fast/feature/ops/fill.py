"""Nulls replaced by a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from friesian_fast.feature.ops.base import Op, column, put


@dataclass(frozen=True, slots=True)
class FillNull(Op):
    """Replace nulls (not NaN) of one column; the column keeps its type and place."""

    column: str
    value: Any
    name = "fill_null"

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def params(self) -> dict[str, Any]:
        return {"value": self.value}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> FillNull:
        return cls(inputs[0], params["value"])

    def apply(self, batch: Any) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        array = column(batch, self.column)
        value = int(self.value) if pa.types.is_integer(array.type) else self.value
        filled = pc.fill_null(array, pa.scalar(value, array.type)) if array.null_count else array
        return put(batch, {self.column: filled})
