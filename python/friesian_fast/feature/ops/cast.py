"""Casts with Spark's rules: what cannot be read as the new type becomes null."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops.base import InPlace, column, put

# The names that the original's `cast` knows, and Arrow's for them.
TYPES = {
    "str": "string",
    "string": "string",
    "bool": "bool",
    "boolean": "bool",
    "int": "int32",
    "integer": "int32",
    "long": "int64",
    "short": "int16",
    "float": "float32",
    "double": "float64",
}

_TRUE, _FALSE = ("t", "true", "y", "yes", "1"), ("f", "false", "n", "no", "0")


@dataclass(frozen=True, slots=True)
class Cast(InPlace):
    """Cast one column, where it stands."""

    column: str
    type: str
    name = "cast"

    def apply(self, batch: Any) -> Any:
        return put(batch, {self.column: cast_array(column(batch, self.column), self.type)})


def cast_array(array: Any, name: str) -> Any:
    """Cast to the Arrow type of that name.

    Floats are cut towards zero, integers wrap around, texts that are no such value become null. A timestamp, of any
    unit and zone, is its time in UTC as text, and the seconds since 1970 as a number.

    Raises
    ------
    InvalidInputError
        If values of that type have no such cast.
    """
    import pyarrow as pa

    wanted = pa.type_for_alias(name)
    if array.type == wanted:
        return array
    if pa.types.is_nested(array.type) or pa.types.is_binary(array.type):
        raise InvalidInputError(f"a column of type {array.type} cannot be cast to {name}")
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return _from_text(array, wanted)
    if pa.types.is_floating(array.type):
        return _from_float(array, wanted)
    if pa.types.is_temporal(array.type) and not pa.types.is_temporal(wanted):
        return _from_time(array, wanted)
    return array.cast(wanted, safe=False)


def double_text(value: float) -> str:
    """A double as Java, and so Spark, writes it."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    return f"{'-' if sign else ''}{text[0]}.{text[1:] or '0'}E{int(exponent) + len(text) - 1}"


def _from_float(array: Any, wanted: Any) -> Any:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(wanted):
        values = array.to_pylist()
        if pa.types.is_float32(array.type):  # the double of the fewest digits that tell the float apart
            values = [None if value is None else float(str(np.float32(value))) for value in values]
        return pa.array([None if value is None else double_text(value) for value in values], pa.string())
    if pa.types.is_integer(wanted):  # out-of-range values saturate, NaN becomes 0, as in the JVM
        limits = np.iinfo(wanted.to_pandas_dtype())
        values = pc.fill_null(array, 0.0).to_numpy(zero_copy_only=False).astype(np.float64)
        cut = np.trunc(np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=-np.inf))
        over = cut >= limits.max  # compared as floats: 2**63 is one more than int64 holds
        whole = np.maximum(np.where(over, 0.0, cut), float(limits.min)).astype(np.int64)
        whole[over] = limits.max
        return pa.array(whole.astype(wanted.to_pandas_dtype()), wanted, mask=np.asarray(array.is_null()))
    return array.cast(wanted, safe=False)


def _from_time(array: Any, wanted: Any) -> Any:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    text, kind = pa.types.is_string(wanted), array.type
    if not pa.types.is_timestamp(kind):
        if text:
            return array.cast(wanted)
        raise InvalidInputError(f"a column of type {kind} cannot be cast to {wanted}; cast it to string first")
    if not (text or pa.types.is_integer(wanted) or pa.types.is_floating(wanted)):
        raise InvalidInputError(f"a column of type {kind} cannot be cast to {wanted}; cast it to long first")
    counts = pc.fill_null(array.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    factor = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 1}[kind.unit]
    micros = counts // 1000 if kind.unit == "ns" else counts * factor  # Spark has microseconds
    mask = np.asarray(array.is_null()) if array.null_count else None
    if text:
        times = pa.array(micros, pa.int64(), mask=mask).cast(pa.timestamp("us"))
        return pc.replace_substring_regex(times.cast(wanted), r"\.?0+$", "", max_replacements=1)
    seconds = micros // 1_000_000 if pa.types.is_integer(wanted) else micros / 1e6
    return pa.array(seconds, mask=mask).cast(wanted, safe=False)


def _from_text(array: Any, wanted: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(wanted):
        return array.cast(wanted)
    # Arrow reads 0x1F as an integer, but not the parser below: what a text is must not depend on its neighbours.
    hexadecimal = pa.types.is_integer(wanted) and pc.any(pc.match_substring_regex(array, "[xX]")).as_py()
    if not pa.types.is_boolean(wanted) and not hexadecimal:
        try:
            return array.cast(wanted)
        except pa.ArrowInvalid:
            pass  # some text is no number: the slow way below finds which
    parse = _parser(wanted)
    return pa.array([None if value is None else parse(value.strip()) for value in array.to_pylist()], wanted)


def _parser(wanted: Any) -> Callable[[str], Any]:
    import numpy as np
    import pyarrow as pa

    def boolean(text: str) -> bool | None:
        return True if text.lower() in _TRUE else False if text.lower() in _FALSE else None

    def floating(text: str) -> float | None:
        try:
            return None if "_" in text else float(text)
        except ValueError:
            return None

    def integer(text: str) -> int | None:
        value = floating(text)
        if value is None or not math.isfinite(value):
            return None
        exact = int(text) if text.lstrip("+-").isdigit() else int(value)
        limits = np.iinfo(wanted.to_pandas_dtype())
        return exact if limits.min <= exact <= limits.max else None

    if pa.types.is_boolean(wanted):
        return boolean
    return integer if pa.types.is_integer(wanted) else floating
