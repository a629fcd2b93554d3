"""Numbers scaled linearly into a range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from friesian_fast.feature.ops.base import Op, column, numeric, put


@dataclass(frozen=True, slots=True)
class MinMaxScale(Op):
    """``(x - low) / (high - low)`` stretched to [`min`, `max`], float32, where the column stands; null stays null.

    When `low` equals `high` every value becomes the middle of the range.
    """

    column: str
    low: float
    high: float
    min: float = 0.0
    max: float = 1.0
    name = "min_max_scale"

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def params(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high, "min": self.min, "max": self.max}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> MinMaxScale:
        return cls(inputs[0], params["low"], params["high"], params["min"], params["max"])

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
