"""Slow, plain versions of the hashing kernels: CPython's hashlib on one value at a time."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from decimal import Decimal

Value = str | int | float | bool | None


def bucket_of_text(text: str, bins: int) -> int:
    return int(hashlib.md5(text.encode("utf-8")).hexdigest(), 16) % bins


def md5_bucket(values: Iterable[Value], bins: int) -> list[int]:
    return [bucket_of_text(str(value), bins) for value in values]


def cross_bucket(columns: Sequence[Sequence[Value]], bins: int, separator: str = "") -> list[int]:
    rows = zip(*columns, strict=True)
    return [
        bucket_of_text("None" if None in row else separator.join(spark_text(value) for value in row), bins)
        for row in rows
    ]


def spark_text(value: Value) -> str:
    """What Spark's cast to string gives."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return java_double_text(value) if isinstance(value, float) else str(value)


def java_double_text(value: float) -> str:
    """Java's Double.toString, as its documentation since JDK 19 describes it."""
    if math.isnan(value):
        return "NaN"
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    size = abs(value)
    if math.isinf(size):
        return f"{sign}Infinity"
    if size == 0:
        return f"{sign}0.0"
    decimal = Decimal(repr(size)).normalize()
    if len(decimal.as_tuple().digits) == 1:
        decimal = Decimal(f"{size:.1e}").normalize()
    if Decimal("0.001") <= decimal < Decimal(10_000_000):
        text = f"{decimal:f}"
        return sign + (text if "." in text else f"{text}.0")
    digits = "".join(map(str, decimal.as_tuple().digits))
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{decimal.adjusted()}"
