"""Numbers scaled linearly into a range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from friesian_fast.feature.ops.base import InPlace, column, numeric, put


@dataclass(frozen=True, slots=True)
class MinMaxScale(InPlace):
    """``(x - low) / (high - low)`` stretched to [`min`, `max`], float32, where the column stands; null stays null.

    When `low` equals `high` every value becomes the middle of the range.
    """

    column: str
    low: float
    high: float
    min: float = 0.0
    max: float = 1.0
    name = "min_max_scale"

    def apply(self, batch: Any) -> Any:
        import numpy as np
        import pyarrow as pa

        array = numeric(column(batch, self.column), self.column)
        values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        if self.low == self.high:
            scaled = np.full(len(values), 0.5 * (self.min + self.max))
        else:
            scaled = (values - self.low) / (self.high - self.low) * (self.max - self.min) + self.min
        mask = np.asarray(array.is_null())
        return put(batch, {self.column: pa.array(scaled.astype(np.float32), pa.float32(), mask=mask)})
