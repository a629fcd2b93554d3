"""Nulls replaced by a value."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Any

from friesian_fast.feature.ops.base import InPlace, column, put


@dataclass(frozen=True, slots=True)
class FillNull(InPlace):
    """Replace nulls (not NaN) of one column; the column keeps its type and place."""

    column: str
    value: Any
    name = "fill_null"

    def apply(self, batch: Any) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        array = column(batch, self.column)
        filled = pc.fill_null(array, pa.scalar(self._cast(array.type), array.type)) if array.null_count else array
        return put(batch, {self.column: filled})

    def _cast(self, kind: Any) -> Any:
        import pyarrow as pa

        if pa.types.is_integer(kind):
            return int(self.value)
        if pa.types.is_decimal(kind):
            return Decimal(str(self.value)).quantize(Decimal(1).scaleb(-kind.scale), rounding=ROUND_DOWN)
        return self.value
