"""Numbers clipped, added to, and their logarithms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops.base import InPlace, column, numeric, put

_INT32 = range(-(2**31), 2**31)


@dataclass(frozen=True, slots=True)
class Clip(InPlace):
    """Values below `min` become `min`, those above `max` become `max`; null and NaN stay; type and place are kept."""

    column: str
    min: float | None = None
    max: float | None = None
    name = "clip"

    def apply(self, batch: Any) -> Any:
        import pyarrow.compute as pc

        array = numeric(column(batch, self.column), self.column)
        low = None if self.min is None else self._bound(self.min, array.type, least=True)
        high = None if self.max is None else self._bound(self.max, array.type, least=False)
        if low is not None:
            array = pc.if_else(pc.less(array, low), low, array)
        if high is not None:
            array = pc.if_else(pc.greater(array, high), high, array)
        return put(batch, {self.column: array})

    def _bound(self, value: float, kind: Any, *, least: bool) -> Any:
        """The bound as a scalar of the column's type, cut towards zero; None if no value of that type lies beyond."""
        import numpy as np
        import pyarrow as pa

        if pa.types.is_floating(kind):
            return pa.scalar(float(value), kind)
        if pa.types.is_decimal(kind):
            return self._decimal(value, kind)
        limits = np.iinfo(kind.to_pandas_dtype())
        whole = int(value)
        if limits.min <= whole <= limits.max:
            return pa.scalar(whole, kind)
        if (whole < limits.min) == least:
            return None
        raise InvalidInputError(f"{value} does not fit column '{self.column}' of type {kind}; cast the column first")

    def _decimal(self, value: float, kind: Any) -> Any:
        from decimal import ROUND_DOWN, Decimal, localcontext

        import pyarrow as pa

        with localcontext() as context:
            context.prec = 400  # a double has no more digits
            cut = Decimal(str(value)).quantize(Decimal(1).scaleb(-kind.scale), rounding=ROUND_DOWN)
        try:
            return pa.scalar(cut, kind)
        except pa.ArrowException as error:
            raise InvalidInputError(
                f"{value} does not fit column '{self.column}' of type {kind}; cast the column first"
            ) from error


@dataclass(frozen=True, slots=True)
class Log(InPlace):
    """Natural logarithm as float64, in place: of ``max(x, 0) + 1`` with `clipping`, else of x, null where x <= 0."""

    column: str
    clipping: bool = True
    name = "log"

    def apply(self, batch: Any) -> Any:
        import numpy as np
        import pyarrow as pa

        array = numeric(column(batch, self.column), self.column)
        values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        mask = np.asarray(array.is_null())
        if self.clipping:
            logs = np.log1p(np.maximum(values, 0.0))
        else:
            mask = mask | (values <= 0)
            logs = np.log(np.where(mask, 1.0, values))
        return put(batch, {self.column: pa.array(logs, pa.float64(), mask=mask)})


@dataclass(frozen=True, slots=True)
class AddValue(InPlace):
    """A number added in place, with Spark's result types; a sum outside its type is an error; null stays null."""

    column: str
    value: float
    name = "add_value"

    def apply(self, batch: Any) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        array = numeric(column(batch, self.column), self.column)
        kind = sum_type(array.type, self.value)
        try:
            if pa.types.is_decimal(kind):
                total = _decimal_sum(array, int(self.value), kind)
            else:
                total = pc.add_checked(array.cast(kind, safe=pa.types.is_integer(kind)), pa.scalar(self.value, kind))
        except pa.ArrowException as error:
            raise InvalidInputError(
                f"column '{self.column}' plus {self.value} does not fit {kind}; cast the column to long or double first"
            ) from error
        return put(batch, {self.column: total})


def sum_type(kind: Any, value: float) -> Any:
    """The Arrow type of a column of type `kind` plus the number, as Spark has it."""
    import pyarrow as pa

    if isinstance(value, float):
        return pa.float64()
    if pa.types.is_decimal(kind):
        digits = max(kind.precision - kind.scale, 10 if value in _INT32 else 20)
        return pa.decimal128(min(38, digits + kind.scale + 1), kind.scale)
    if pa.types.is_floating(kind):
        return kind
    return pa.int64() if kind.bit_width == 64 or str(kind) == "uint32" or value not in _INT32 else pa.int32()


def _decimal_sum(array: Any, value: int, kind: Any) -> Any:
    from decimal import Decimal, localcontext

    import pyarrow as pa

    with localcontext() as context:
        context.prec = 100
        return pa.array([None if x is None else x + Decimal(value) for x in array.to_pylist()], kind)
