"""Table methods on numbers of one row: clip, log, add, merge; and the filling with medians."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops import AddValue, Clip, FillNull, Log, MergeColumns
from friesian_fast.feature.stats import StatsTable

T = TypeVar("T", bound="ArithmeticTable")


class ArithmeticTable(StatsTable):
    """The part of `FeatureTable` that calculates within a row; all of it is recorded."""

    def clip(
        self: T, columns: str | Sequence[str] | None = None, min: float | None = None, max: float | None = None
    ) -> T:
        """Limit numbers to [`min`, `max`] in place; null and NaN stay, and so does the type.

        Every numeric type is accepted (the original refused float, short and decimal).

        Parameters
        ----------
        columns : str or list of str
        min, max : float, optional
            At least one; cut towards zero to the column's type, so 2.7 limits an int column to 2.
        """
        if min is None and max is None:
            raise InvalidInputError("at least one of min and max should be not None")
        names = self._numbers(columns)
        for name, bound in (("min", min), ("max", max)):
            if bound is not None:
                _require_finite(name, bound)
        if min is not None and max is not None and min > max:
            raise InvalidInputError(f"min should not be larger than max, but got {min} and {max}.")
        return self._then(*(Clip(name, min, max) for name in names))

    def log(self: T, columns: str | Sequence[str] | None = None, clipping: bool = True) -> T:
        """The natural logarithm as double, in place; null stays null.

        Fractions and large longs count in full (the original cut them to int first), and every numeric type is
        accepted.

        Parameters
        ----------
        columns : str or list of str
        clipping : bool
            ``ln(max(x, 0) + 1)``; without, ``ln(x)``, which is null where x is not above 0.
        """
        return self._then(*(Log(name, bool(clipping)) for name in self._numbers(columns)))

    def add(self: T, columns: str | Sequence[str], value: float = 1) -> T:
        """Add a number in place: an int keeps an int column's type (short becomes int), a float makes it double.

        A sum that its type cannot hold is an `InvalidInputError` when the rows are computed, not another number.
        """
        names = self._numbers(columns)
        _require_finite("value", value)
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise InvalidInputError(f"value should fit a long, but got {value}.")
        return self._then(*(AddValue(name, value) for name in names))

    def merge_cols(self: T, columns: Sequence[str], target: str) -> T:
        """Several columns as one array column, which comes last; the columns are dropped.

        Parameters
        ----------
        columns : list of str
            Their common type is that of the array's elements: the wider number, or string if one of them is.
        target : str
        """
        if not isinstance(columns, (list, tuple)):
            raise InvalidInputError(f"columns must be a list of column names, but got {columns}.")
        if not columns:
            raise InvalidInputError("columns is empty; name the columns to merge")
        if not isinstance(target, str):
            raise InvalidInputError(f"target should be str, but got {target}.")
        return self._then(MergeColumns(tuple(self._existing(columns)), target))

    def fill_median(self: T, columns: str | Sequence[str] | None = None) -> T:
        """Replace nulls by the column's `median`, found now; the column keeps its type and place.

        Parameters
        ----------
        columns : str, list of str or None
            None is all numeric ones (the original's: of type int, long and double).
        """
        return self._then(*(FillNull(name, value) for name, value in self._medians(columns).items()))

    def _numbers(self, columns: Any) -> list[str]:
        names = self._existing(columns)
        for name in names:
            self._require_numeric(name)
        return names


def _require_finite(name: str, value: Any) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise InvalidInputError(f"{name} should be a finite number, but got {value!r}.")
