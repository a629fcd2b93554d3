"""Table methods on numbers: bins and scaling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.fit import ColumnStats, StatsRequest, gather
from friesian_fast.feature.ops import CutBins, MinMaxScale
from friesian_fast.feature.session import get_session
from friesian_fast.feature.table import Table

T = TypeVar("T", bound="NumericTable")

Edges = int | Sequence[float]


class NumericTable(Table):
    """The part of `FeatureTable` that works on numbers."""

    def min_max_scale(
        self: T, columns: str | Sequence[str], min: float = 0.0, max: float = 1.0
    ) -> tuple[T, dict[str, tuple[float, float]]]:
        """Scale columns linearly to [`min`, `max`], as float32 in place.

        Returns
        -------
        FeatureTable
        dict of str to (float, float)
            The bounds that were found, for `transform_min_max_scale`.
        """
        names = self._existing(columns)
        for name in names:
            self._require_number(name)
        bounds = {name: scale_bounds(name, stats) for name, stats in self._stats(names).items()}
        ops = [MinMaxScale(name, *bounds[name], float(min), float(max)) for name in names]
        return self._then(*ops), bounds

    def transform_min_max_scale(
        self: T, columns: str | Sequence[str], min_max_dict: Mapping[str, tuple[float, float]]
    ) -> T:
        """Scale by bounds that were found before; columns without bounds stay as they are."""
        names = [name for name in self._existing(columns) if name in min_max_dict]
        for name in names:
            self._require_number(name)
        ops = [MinMaxScale(name, float(min_max_dict[name][0]), float(min_max_dict[name][1])) for name in names]
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
            Names instead of indices.
        out_cols : str or list of str, optional
            By default ``<column>_bin``.
        drop : bool
            Drop the column.
        """
        names = self._existing(columns)
        given = [out_cols] if isinstance(out_cols, str) else out_cols
        outputs = [f"{name}_bin" for name in names] if given is None else list(given)
        if len(outputs) != len(names):
            raise InvalidInputError(f"out_cols has {len(outputs)} names for {len(names)} columns; give one for each")
        for name in names:
            self._require_number(name)
        edges = self._edges(names, bins)
        ops = []
        for name, output in zip(names, outputs, strict=True):
            chosen = labels.get(name) if isinstance(labels, Mapping) else labels
            if chosen is not None and len(chosen) != len(edges[name]) + 1:
                raise InvalidInputError(f"labels should be of length {len(edges[name]) + 1} to match bins")
            ops.append(CutBins(name, output, edges[name], tuple(chosen or ()), drop or output == name))
        return self._then(*ops)

    def _edges(self, names: Sequence[str], bins: Edges | Mapping[str, Edges]) -> dict[str, tuple[float, ...]]:
        import numpy as np

        chosen: dict[str, Edges] = {}
        for name in names:
            if isinstance(bins, Mapping) and name not in bins:
                raise InvalidInputError(f"bins has no entry for column '{name}'")
            chosen[name] = bins[name] if isinstance(bins, Mapping) else bins
        stats = self._stats([name for name, value in chosen.items() if isinstance(value, int)])
        result = {}
        for name, value in chosen.items():
            if isinstance(value, int):
                low, high = scale_bounds(name, stats[name], allow_nulls=True)
                value = np.linspace(low, high, value + 1).tolist()
            edges = tuple(float(edge) for edge in value)
            if not edges or list(edges) != sorted(set(edges)):
                raise InvalidInputError(f"bins of column '{name}' are {list(edges)}; give ascending edges")
            result[name] = edges
        return result

    def _stats(self, names: Sequence[str]) -> dict[str, ColumnStats]:
        if not names:
            return {}
        answer: dict[str, ColumnStats] = gather(
            get_session(), [StatsRequest(parts=self._plain_parts(), columns=tuple(names))]
        )[0]
        return answer

    def _require_number(self, name: str) -> None:
        import pyarrow as pa

        kind = self._type(name)
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise InvalidInputError(f"{name} should be a numeric column, but it has type {kind}")


def scale_bounds(name: str, stats: ColumnStats, *, allow_nulls: bool = False) -> tuple[float, float]:
    """The smallest and largest value.

    Raises
    ------
    InvalidInputError
        If there is none, or, unless allowed, a null.
    """
    if stats.min is None or stats.max is None:
        raise InvalidInputError(f"column '{name}' has no values; check the step that wrote it")
    if stats.nulls and not allow_nulls:
        raise InvalidInputError(f"column '{name}' has {stats.nulls} nulls; fill them before scaling")
    return float(stats.min), float(stats.max)
