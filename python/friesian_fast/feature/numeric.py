"""Table methods on numbers: bins and scaling."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, TypeVar

import numpy as np

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.fit import ColumnStats, StatsRequest, gather
from friesian_fast.feature.ops import CutBins, MinMaxScale, MinMaxScaleList, Op
from friesian_fast.feature.ops.base import is_number
from friesian_fast.feature.ops.lists import is_list
from friesian_fast.feature.session import get_session
from friesian_fast.feature.table import Table

T = TypeVar("T", bound="NumericTable")

Edges = int | Sequence[float]
Bound = float | list[float]


class NumericTable(Table):
    """The part of `FeatureTable` that works on numbers."""

    def min_max_scale(
        self: T, columns: str | Sequence[str], min: float = 0.0, max: float = 1.0
    ) -> tuple[T, dict[str, tuple[Any, Any]]]:
        """Scale columns linearly to [`min`, `max`]; null stays null, and so does NaN.

        A column of numbers, of any numeric type, becomes float32 and keeps its place. One of lists, which must all be
        of one length, is scaled place by place, becomes lists of double and moves last.

        Parameters
        ----------
        columns : str or list of str
        min, max : float
            The range. Where all values are the same, they become its middle.

        Returns
        -------
        FeatureTable
        dict of str to (float, float), or to (list of float, list of float)
            The smallest and largest value (of lists: at each place), found in float64, for `transform_min_max_scale`.
        """
        _require_range(min, max)
        names = self._existing(columns)
        for name in names:
            self._require_scalable(name)
        bounds = {name: scale_bounds(name, stats) for name, stats in self._stats(names).items()}
        ops = [self._scaling(name, bounds[name], min, max, fitted=True) for name in dict.fromkeys(names)]
        return self._then(*ops), bounds

    def transform_min_max_scale(
        self: T,
        columns: str | Sequence[str],
        min_max_dict: Mapping[str, tuple[Any, Any]],
        *,
        min: float = 0.0,
        max: float = 1.0,
    ) -> T:
        """Scale by bounds that were found before, in place; null stays null, and nothing is clipped.

        Parameters
        ----------
        columns : str or list of str
            Those without bounds stay as they are.
        min_max_dict : dict of str to (float, float), or to (list of float, list of float)
            From `min_max_scale`. Where both are equal the value becomes the middle of the range (the original divided
            by zero).
        min, max : float
            The range, which the dict does not hold: give those of `min_max_scale` (the original took 0 and 1).

        Returns
        -------
        FeatureTable
            The columns are float32, those of lists are lists of float32.
        """
        _require_range(min, max)
        if not isinstance(min_max_dict, Mapping):
            raise InvalidInputError(f"min_max_dict should be dict, but get {type(min_max_dict).__name__}")
        names = [name for name in self._existing(columns) if name in min_max_dict]
        ops = []
        for name in dict.fromkeys(names):
            self._require_scalable(name)
            bounds = _given_bounds(name, min_max_dict[name], is_list(self._type(name)))
            ops.append(self._scaling(name, bounds, min, max, fitted=False))
        return self._then(*ops)

    def cut_bins(
        self: T,
        columns: str | Sequence[str],
        bins: Edges | Mapping[str, Edges],
        labels: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        out_cols: str | Sequence[str] | None = None,
        drop: bool = True,
    ) -> T:
        """The index of the bin each number lies in, as a last column.

        Parameters
        ----------
        columns : str or list of str
        bins : list of float, int, or a dict of them by column
            n edges make n + 1 bins, closed below; an int is so many bins of equal width between the smallest and the
            largest value. Null and NaN get one index more.
        labels : list of str, or a dict of them by column, optional
            Names instead of indices, one for each bin, in order; one more names nulls and NaN, which are an error
            without. Columns that the dict lacks get indices.
        out_cols : str or list of str, optional
            By default ``<column>_bin``; the column's own name replaces it.
        drop : bool
            Drop the column.
        """
        names = self._existing(columns)
        outputs = _bin_names(names, out_cols)
        taken = [out for name, out in zip(names, outputs, strict=True) if out != name and out in self.columns]
        if taken:
            raise InvalidInputError(f"{taken} would be there twice; give other out_cols")
        for name in names:
            self._require_number(name)
        edges = self._edges(names, bins)
        ops = []
        for name, output in zip(names, outputs, strict=True):
            chosen = _labels_of(name, labels, len(edges[name]) + 1)
            ops.append(CutBins(name, output, edges[name], chosen, drop or output == name))
        return self._then(*ops)

    def _edges(self, names: Sequence[str], bins: Edges | Mapping[str, Edges]) -> dict[str, tuple[float, ...]]:
        chosen: dict[str, Edges] = {}
        for name in names:
            if isinstance(bins, Mapping) and name not in bins:
                raise InvalidInputError(f"bins has no entry for column '{name}'")
            chosen[name] = bins[name] if isinstance(bins, Mapping) else bins
            _require_edges(name, chosen[name])
        stats = self._stats([name for name, value in chosen.items() if isinstance(value, int)])
        result = {}
        for name, value in chosen.items():
            if isinstance(value, int):
                low, high = scale_bounds(name, stats[name])
                value = np.linspace(low, high, value + 1).tolist()
                if low == high:
                    raise InvalidInputError(
                        f"column '{name}' has no value but {low}, which cannot be cut into equal bins; give their edges"
                    )
            result[name] = tuple(float(edge) for edge in value)
        return result

    def _stats(self, names: Sequence[str]) -> dict[str, ColumnStats]:
        if not names:
            return {}
        answer: dict[str, ColumnStats] = gather(
            get_session(), [StatsRequest(parts=self._plain_parts(), columns=tuple(names))]
        )[0]
        return answer

    def _scaling(self, name: str, bounds: tuple[Any, Any], low: float, high: float, *, fitted: bool) -> Op:
        if not is_list(self._type(name)):
            return MinMaxScale(name, *bounds, float(low), float(high))
        kind = "float64" if fitted else "float32"
        return MinMaxScaleList(name, tuple(bounds[0]), tuple(bounds[1]), float(low), float(high), kind, fitted)

    def _require_number(self, name: str) -> None:
        kind = self._type(name)
        if not is_number(kind):
            raise InvalidInputError(f"{name} should be a numeric column, but it has type {kind}")

    def _require_scalable(self, name: str) -> None:
        import pyarrow as pa

        kind = self._type(name)
        if pa.types.is_struct(kind) and {"size", "indices", "values"} <= {field.name for field in kind}:
            raise InvalidInputError(
                f"column '{name}' holds Spark ML vectors; make them arrays first, by pyspark.ml's vector_to_array"
            )
        if not is_number(kind) and not (is_list(kind) and is_number(kind.value_type)):
            raise InvalidInputError(
                f"{name} should be a numeric column or one of numeric lists, but it has type {kind}"
            )


def scale_bounds(name: str, stats: ColumnStats) -> tuple[Any, Any]:
    """The smallest and largest value, or of lists those at each place; nulls and NaN do not count.

    Raises
    ------
    InvalidInputError
        If there is none, or one is infinite.
    """
    lows: list[Any] = [stats.min] if stats.min_list is None else stats.min_list
    highs: list[Any] = [stats.max] if stats.max_list is None else stats.max_list
    if not lows or None in lows:
        where = (
            "" if stats.min_list is None else f" at place {lows.index(None)} of its lists" if lows else " in its lists"
        )
        raise InvalidInputError(f"column '{name}' has no values{where}; check the step that wrote it")
    if not all(map(math.isfinite, [*lows, *highs])):
        raise InvalidInputError(f"column '{name}' has infinite values; clip it first")
    if stats.min_list is None:
        return float(lows[0]), float(highs[0])
    return lows, highs


def _given_bounds(name: str, given: Any, lists: bool) -> tuple[Any, Any]:
    """The bounds of a dict, checked; a list of one type for lists, else numbers."""
    pair = tuple(given) if isinstance(given, (list, tuple)) else ()
    if len(pair) == 2:
        sides = [_numbers(side if lists else [side]) for side in pair]
        if sides[0] and sides[1] and len(sides[0]) == len(sides[1]):
            return (sides[0], sides[1]) if lists else (sides[0][0], sides[1][0])
    wanted = "two lists of numbers of one length" if lists else "two numbers"
    raise InvalidInputError(f"min_max_dict of column '{name}' should be {wanted}, but it is {given}")


def _numbers(values: Any) -> list[float]:
    """As finite floats; an empty list if they are no such."""
    given = list(values) if isinstance(values, (list, tuple, np.ndarray)) else []
    if not all(isinstance(value, Real) and not isinstance(value, bool) for value in given):
        return []
    floats = [float(value) for value in given]
    return floats if all(map(math.isfinite, floats)) else []


def _require_range(low: Any, high: Any) -> None:
    if len(_numbers([low, high])) != 2 or low > high:
        raise InvalidInputError(
            f"min and max should be finite numbers, min not above max, but got {low!r} and {high!r}"
        )


def _require_edges(name: str, bins: Any) -> None:
    if isinstance(bins, int) and not isinstance(bins, bool):
        if bins < 1:
            raise InvalidInputError(f"bins of column '{name}' is {bins}; give at least 1")
        return
    edges = _numbers(bins)
    if not edges or edges != sorted(set(edges)):
        raise InvalidInputError(f"bins of column '{name}' are {bins}; give ascending edges, or an int")


def _bin_names(names: Sequence[str], out_cols: Any) -> list[str]:
    given = [out_cols] if isinstance(out_cols, str) else out_cols
    outputs = [f"{name}_bin" for name in names] if given is None else list(given)
    if len(outputs) != len(names) or not all(isinstance(output, str) for output in outputs):
        raise InvalidInputError(f"out_cols has {len(outputs)} names for {len(names)} columns; give one str for each")
    again = sorted({output for output in outputs if outputs.count(output) > 1})
    if again:
        raise InvalidInputError(f"{again} would be there twice; give other out_cols")
    return outputs


def _labels_of(name: str, labels: Any, bins: int) -> tuple[str, ...]:
    """The labels of a column; none for indices."""
    chosen = labels.get(name) if isinstance(labels, Mapping) else labels
    if chosen is None:
        return ()
    if not isinstance(chosen, (list, tuple)) or not all(isinstance(label, str) for label in chosen):
        raise InvalidInputError(f"labels of column '{name}' should be a list of str, but got {chosen}")
    if len(chosen) not in (bins, bins + 1):
        raise InvalidInputError(f"labels should be of length {bins} to match bins, or one more for nulls")
    return tuple(chosen)
