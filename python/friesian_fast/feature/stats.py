"""Table methods that sum columns up: statistics of many columns in one Spark job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.frames import FrameTable
from friesian_fast.feature.ops.base import is_number

T = TypeVar("T", bound="StatsTable")

Aggregates = str | Sequence[str]

_AGGREGATES = ("min", "max", "avg", "sum", "count")

# Up to so many values the median is exact; beyond, finding it so would need them all in the memory of one task.
_EXACT_MEDIANS = 1_000_000
_MEDIAN_ERROR = 0.001


class StatsTable(FrameTable):
    """The part of `FeatureTable` that sums columns up."""

    def get_stats(
        self, columns: str | Sequence[str] | None, aggr: Aggregates | Mapping[str, Aggregates]
    ) -> dict[str, Any]:
        """Statistics of columns, all in one Spark job; nulls do not count.

        Parameters
        ----------
        columns : str, list of str or None
            None is all numeric ones.
        aggr : str, list of str, or a dict of either by column
            Of min, max, avg, sum and count.

        Returns
        -------
        dict of str to number, or to list
            By column: a number for one aggregate, a list in their order for several.
        """
        names = self._numeric_columns() if columns is None else self._existing(columns)
        wanted = {name: self._aggregates(name, aggr) for name in names}
        pairs = [(name, aggregate) for name, aggregates in wanted.items() for aggregate in aggregates]
        if not pairs:
            return {}
        from pyspark.sql import functions as sql

        exprs = [getattr(sql, how)(f"`{name}`").alias(f"a{i}") for i, (name, how) in enumerate(pairs)]
        found = iter(self._only(list(dict.fromkeys(names))).agg(*exprs).collect()[0])
        values = {name: [next(found) for _ in aggregates] for name, aggregates in wanted.items()}
        return {name: one[0] if len(one) == 1 else one for name, one in values.items()}

    def min(self: T, columns: str | Sequence[str] | None = None) -> T:
        """The smallest value of each numeric column, as a table of ``column`` and ``min``.

        The values are long if all columns are integers, else double (the original's were 32-bit floats); null for a
        column without values.
        """
        return self._extremes(columns, "min")

    def max(self: T, columns: str | Sequence[str] | None = None) -> T:
        """The largest value of each numeric column, as a table of ``column`` and ``max``; see `min`."""
        return self._extremes(columns, "max")

    def median(self: T, columns: str | Sequence[str] | None = None) -> T:
        """The median of each numeric column, as a table of ``column`` and ``median`` (double).

        It is a value of the column: of an even number the lower of the two in the middle. Exact, and so the same for
        any partitioning, up to a million values over all columns; beyond, its rank is wrong by at most 0.1 %, as the
        original's always was. Nulls and NaN do not count; a column of nothing else is an error.
        """
        rows = [(name, value) for name, value in self._medians(columns).items()]
        return self._listed(rows, "median", "double")

    def _medians(self, columns: str | Sequence[str] | None) -> dict[str, float]:
        names = self._numeric_columns() if columns is None else list(dict.fromkeys(self._existing(columns)))
        for name in names:
            if not is_number(self._type(name)):
                kind = type(self.schema[name].dataType).__name__
                raise InvalidInputError(
                    f"Quantile calculation for column {name} with data type {kind} is not supported; "
                    "name numeric columns"
                )
        if not names:
            return {}
        error = 0.0 if self.size() * len(names) <= _EXACT_MEDIANS else _MEDIAN_ERROR
        plain = [f"c{i}" for i in range(len(names))]  # Spark would take a dot in a name for a struct
        found = self._only(names).toDF(*plain).approxQuantile(plain, [0.5], error)
        for name, quantiles in zip(names, found, strict=True):
            if not quantiles:
                raise InvalidInputError(f"column '{name}' has no values, so no median; fill or drop it first")
        return {name: quantiles[0] for name, quantiles in zip(names, found, strict=True)}

    def _extremes(self: T, columns: str | Sequence[str] | None, how: str) -> T:
        import pyarrow as pa

        names = self._numeric_columns() if columns is None else list(dict.fromkeys(self._existing(columns)))
        for name in names:
            self._require_numeric(name)
        whole = bool(names) and all(pa.types.is_integer(self._type(name)) for name in names)
        found = self.get_stats(names, how)
        convert = int if whole else float
        rows = [(name, None if found[name] is None else convert(found[name])) for name in names]
        return self._listed(rows, how, "long" if whole else "double")

    def _listed(self: T, rows: list[tuple[str, Any]], name: str, kind: str) -> T:
        from friesian_fast.feature.session import get_session

        return self._of(get_session().createDataFrame(rows, f"column string, {name} {kind}").coalesce(1))

    def _aggregates(self, name: str, aggr: Any) -> list[str]:
        if isinstance(aggr, Mapping):
            if name not in aggr:
                raise InvalidInputError(f"aggregate function not defined for the column {name}.")
            aggr = aggr[name]
        if not isinstance(aggr, (str, list, tuple)):
            raise InvalidInputError("aggr must have type str or a list or dict.")
        chosen = [aggr] if isinstance(aggr, str) else list(aggr)
        for one in chosen:
            if one not in _AGGREGATES:
                raise InvalidInputError(f"aggregate function must be one of min/max/avg/sum/count, but got {one}.")
            if one in ("avg", "sum"):
                self._require_numeric(name)
        return chosen

    def _numeric_columns(self) -> list[str]:
        return [name for name in self.columns if is_number(self._type(name))]

    def _require_numeric(self, name: str) -> None:
        kind = self._type(name)
        if not is_number(kind):
            raise InvalidInputError(f"{name} should be a numeric column, but it has type {kind}")
