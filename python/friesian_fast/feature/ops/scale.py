"""Numbers scaled linearly into a range, alone or in lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from friesian_fast.feature.ops.base import InPlace, Op, column, numeric, put
from friesian_fast.feature.ops.elements import list_matrix
from friesian_fast.feature.ops.lists import list_array, lists_of


@dataclass(frozen=True, slots=True)
class MinMaxScale(InPlace):
    """``(x - low) / (high - low)`` stretched to [`min`, `max`], float32, where the column stands; null stays null.

    When `low` equals `high` every value but NaN becomes the middle of the range.
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
            scaled = np.where(np.isnan(values), values, 0.5 * (self.min + self.max))
        else:
            scaled = (values - self.low) / (self.high - self.low) * (self.max - self.min) + self.min
        mask = np.asarray(array.is_null()) if array.null_count else None
        return put(batch, {self.column: pa.array(scaled.astype(np.float32), pa.float32(), mask=mask)})


@dataclass(frozen=True, slots=True)
class MinMaxScaleList(Op):
    """`MinMaxScale` of lists, each place in them by its own bounds; nulls, lists as well as elements, stay null.

    The result is a list of `type`; with `last` it moves last.
    """

    column: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    min: float = 0.0
    max: float = 1.0
    type: str = "float32"
    last: bool = False
    name = "min_max_scale_list"

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def params(self) -> dict[str, Any]:
        return {
            "low": list(self.low),
            "high": list(self.high),
            "min": self.min,
            "max": self.max,
            "type": self.type,
            "last": self.last,
        }

    @classmethod
    def create(cls, inputs: Any, outputs: Any, params: Any, resources: Any) -> MinMaxScaleList:
        bounds = {"low": tuple(params["low"]), "high": tuple(params["high"])}
        return cls(inputs[0], **{**params, **bounds})

    def apply(self, batch: Any) -> Any:
        import numpy as np
        import pyarrow as pa

        array = column(batch, self.column)
        rows, valid = list_matrix(array, self.column, len(self.low))
        low, high = np.asarray(self.low), np.asarray(self.high)
        flat = low == high
        scaled = (rows - low) / np.where(flat, 1.0, high - low) * (self.max - self.min) + self.min
        scaled[:, flat] = np.where(np.isnan(rows[:, flat]), np.nan, 0.5 * (self.min + self.max))
        kind = pa.type_for_alias(self.type)
        values = pa.array(scaled.ravel().astype(self.type), kind, mask=None if valid is None else ~valid.ravel())
        return put(batch, {self.column: list_array(lists_of(array).lengths, values)}, last=self.last)
