"""What is counted of a column in one pass, batch by batch, and added up over tasks: the figures of a profile."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from friesian_fast.feature.ops.cast import cast_array
from friesian_fast.hashing import xxh3_bucket

# Up to so many different values they are counted, not estimated; the error of the estimate is about 1 %.
DISTINCT = 10_000
_TOP = 10_000  # values whose counts are kept
_BINS = 48
_TEXT = 80  # characters kept of a text
_WAITING = 1 << 17

# Two moduli without a common factor: together they keep 62 bits of a digest.
_MODULI = (2**31 - 1, 2**31 - 19)


@dataclass(slots=True)
class Histogram:
    """Counts of numbers in bins ``[i * 2**exponent, (i + 1) * 2**exponent)``.

    The exponent is the least for which less than 48 bins span all values, so it, and every count, depend on the values
    alone: bins of powers of two merge exactly, whatever was added first.
    """

    low: float = math.inf
    high: float = -math.inf
    exponent: int = -1074
    counts: dict[int, int] = field(default_factory=dict)

    def add(self, values: Any, *, whole: bool) -> None:
        """Count finite float64 values; `whole` ones get bins of at least 1."""
        import numpy as np

        if not len(values):
            return
        self._widen(float(values.min()), float(values.max()), 0 if whole else -1074)
        at = np.floor(np.ldexp(values, -self.exponent)).astype(np.int64)
        at[(at == 0) & (values < 0)] = -1  # so small that the division gave -0
        bins, counts = np.unique(at, return_counts=True)
        for one, count in zip(bins.tolist(), counts.tolist(), strict=True):
            self.counts[one] = self.counts.get(one, 0) + count

    def merge(self, other: Histogram) -> None:
        """Count in what another counted of values of the same kind."""
        if not other.counts:
            return
        self._widen(other.low, other.high, other.exponent)
        shift = self.exponent - other.exponent
        for at, count in other.counts.items():
            self.counts[at >> shift] = self.counts.get(at >> shift, 0) + count

    def bins(self) -> Iterator[tuple[float, float, int]]:
        """Low end, high end and count of each bin that is not empty, ascending."""
        for at in sorted(self.counts):
            yield _edge(at, self.exponent), _edge(at + 1, self.exponent), self.counts[at]

    def _widen(self, low: float, high: float, least: int) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)
        exponent = max(least, self.exponent, _exponent(self.low, self.high))
        shift = exponent - self.exponent
        counts: dict[int, int] = {}
        for at, count in self.counts.items():
            counts[at >> shift] = counts.get(at >> shift, 0) + count
        self.exponent, self.counts = exponent, counts


@dataclass(slots=True)
class ColumnSketch:
    """The figures of one column; of a list column, those of the lists' lengths."""

    rows: int = 0
    nulls: int = 0
    odd: int = 0  # NaN and infinities, which no other figure counts
    min: float | None = None
    max: float | None = None
    total: float = 0.0
    histogram: Histogram = field(default_factory=Histogram)
    least: Any = None  # the smallest hashes, ascending, int64 of shape (at most DISTINCT,)
    values: Any = None  # a pyarrow.Table of hash, count and value: the most frequent ones
    lost: int = 0  # no value whose count was dropped had more than this
    _waiting: list[Any] = field(default_factory=list)

    def add(self, array: Any) -> None:
        """Count a batch of the column in."""
        import pyarrow as pa
        import pyarrow.compute as pc

        self.rows += len(array)
        self.nulls += array.null_count
        array = array.drop_null()
        kind = array.type
        if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            self._add_numbers(pc.list_value_length(array))
        elif not pa.types.is_nested(kind):
            if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
                array = self._add_numbers(array)
            self._add_values(array)

    def merge(self, other: ColumnSketch) -> None:
        """Count in what another task counted of the same column."""
        self.rows += other.rows
        self.nulls += other.nulls
        self.odd += other.odd
        self._bounds(other.min, other.max)
        self.total += other.total
        self.histogram.merge(other.histogram)
        self.lost += other.lost
        if other.least is not None:
            self._keep_least(other.least)
        if other.values is not None:
            self._waiting.append(other.values)
            self.settle()

    @property
    def mean(self) -> float | None:
        """Of the finite values, or the lists' lengths."""
        count = sum(self.histogram.counts.values())
        return self.total / count if count else None

    @property
    def distinct(self) -> tuple[int, bool] | None:
        """How many different values there are, and whether that was counted (else it is an estimate); None of lists.

        The estimate is that of the k smallest hashes: Bar-Yossef et al., RANDOM 2002.
        """
        if self.least is None:
            return None
        if len(self.least) < DISTINCT:
            return len(self.least), True
        share = (int(self.least[-1]) + 1) / (_MODULI[0] << 31)
        return round((DISTINCT - 1) / share), False

    def top(self, count: int) -> list[tuple[str, int]]:
        """The most frequent values as texts with their counts, which are lower bounds when `lost` is not 0."""
        self.settle()
        if self.values is None:
            return []
        first = self.values.slice(0, count)
        values = first["value"].combine_chunks()
        texts = values.to_pylist() if _is_binary(values.type) else cast_array(values, "string").to_pylist()
        return list(zip(map(str, texts), first["count"].to_pylist(), strict=True))

    def settle(self) -> None:
        """Add up what waits, and keep the most frequent values, by count and hash."""
        import pyarrow as pa

        if not self._waiting:
            return
        parts = self._waiting if self.values is None else [self.values, *self._waiting]
        self._waiting = []
        grouped = pa.concat_tables(parts).group_by("hash", use_threads=False)
        summed = grouped.aggregate([("count", "sum"), ("value", "first")]).rename_columns(["hash", "count", "value"])
        ordered = summed.sort_by([("count", "descending"), ("hash", "ascending")])
        if ordered.num_rows > _TOP:
            self.lost += ordered["count"][_TOP].as_py()
        self.values = ordered.slice(0, _TOP).combine_chunks()

    def _add_numbers(self, array: Any) -> Any:
        """Counts the finite values and returns them."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_floating(array.type):
            finite = array.filter(pc.is_finite(array))
            self.odd += len(array) - len(finite)
            array = finite
        if len(array):
            bounds = pc.min_max(array).as_py()
            self._bounds(float(bounds["min"]), float(bounds["max"]))
            numbers = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            with np.errstate(over="ignore"):
                self.total += float(np.sum(numbers))
            self.histogram.add(numbers, whole=pa.types.is_integer(array.type))
        return array

    def _bounds(self, low: float | None, high: float | None) -> None:
        lows = [bound for bound in (self.min, low) if bound is not None]
        highs = [bound for bound in (self.max, high) if bound is not None]
        self.min, self.max = min(lows, default=None), max(highs, default=None)

    def _add_values(self, array: Any) -> None:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if not len(array):
            self._keep_least(np.empty(0, np.int64))
            return
        counted = array.value_counts()
        values = counted.field("values")
        hashes = _hashes(values)
        self._keep_least(hashes)
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            values = pc.utf8_slice_codeunits(values, 0, _TEXT)
        self._waiting.append(pa.table({"hash": hashes, "count": counted.field("counts"), "value": values}))
        if sum(table.num_rows for table in self._waiting) > _WAITING:
            self.settle()

    def _keep_least(self, hashes: Any) -> None:
        import numpy as np

        known = [] if self.least is None else [self.least]
        self.least = np.unique(np.concatenate([*known, hashes]))[:DISTINCT]


def _edge(at: int, exponent: int) -> float:
    try:
        return math.ldexp(at, exponent)
    except OverflowError:
        return math.copysign(sys.float_info.max, at)


def _exponent(low: float, high: float) -> int:
    """The least exponent for which the values from `low` to `high` lie in less than `_BINS` bins."""
    largest = max(abs(low), abs(high))
    exponent = math.frexp(largest)[1] - 52 if largest else -1074
    if high > low:
        exponent = max(exponent, math.frexp(high / 2 - low / 2)[1] - 6)
    while _place(high, exponent) - _place(low, exponent) >= _BINS:
        exponent += 1
    return exponent


def _place(value: float, exponent: int) -> int:
    return math.floor(math.ldexp(value, -exponent)) or (-1 if value < 0 else 0)


def _hashes(values: Any) -> Any:
    """62 bits of each value's hash as int64, the same for the same value in any task."""
    import numpy as np
    import pyarrow as pa

    kind = values.type
    if pa.types.is_floating(kind):
        values = pa.array(values.cast(pa.float64()).to_numpy(zero_copy_only=False) + 0.0).view(pa.int64())  # no -0.0
    elif _is_binary(kind):
        values = pa.array([value.hex() for value in values.to_pylist()], pa.string())
    elif not (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_large_string(kind)):
        values = cast_array(values, "string")
    high, low = (xxh3_bucket(values, modulus).astype(np.int64) for modulus in _MODULI)
    return (high << 31) | low


def _is_binary(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))
