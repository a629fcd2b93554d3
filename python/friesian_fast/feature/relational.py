"""Table methods that bring rows together: joins, groups, frequencies, differences between rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.frames import FrameTable, spark_errors
from friesian_fast.feature.names import crossed_names

T = TypeVar("T", bound="RelationalTable")

# Joins that give the columns of the left table only.
_LEFT_ONLY = {"semi", "leftsemi", "anti", "leftanti"}

_OWN_KEYS = "__friesian_key_{}__"


class RelationalTable(FrameTable):
    """The part of `FeatureTable` that brings rows together."""

    def join(
        self: T,
        table: Any,
        on: str | Sequence[str] | None = None,
        how: str = "inner",
        lsuffix: str | None = None,
        rsuffix: str | None = None,
    ) -> T:
        """Join with another table on columns of the same names; the keys come first, null keys match nothing.

        Parameters
        ----------
        table : Table or StringIndex
        on : str or list of str
        how : str
            Any of Spark's: inner, left, right, outer, left_semi, left_anti and so on.
        lsuffix, rsuffix : str, optional
            Appended to the names that both tables have besides the keys; without, such names are an error (the
            original gave two columns of one name).
        """
        other = getattr(table, "df", None)
        if other is None:
            raise InvalidInputError(f"table should be a Table, but got {type(table).__name__}")
        keys = self._existing(on, "on")
        missing = [key for key in keys if key not in table.columns]
        if missing:
            raise InvalidInputError(f"{missing} do not exist in the other Table; it has {', '.join(table.columns)}")
        left, right = self.df, other
        if str(how).lower().replace("_", "") not in _LEFT_ONLY:
            both = [name for name in self.columns if name in table.columns and name not in keys]
            left = left.withColumnsRenamed({name: name + (lsuffix or "") for name in both})
            right = right.withColumnsRenamed({name: name + (rsuffix or "") for name in both})
            names = left.columns + [name for name in right.columns if name not in keys]
            again = [name for name in dict.fromkeys(names) if names.count(name) > 1]
            if again:
                raise InvalidInputError(
                    f"{again} would be there twice; give lsuffix or rsuffix, or drop or rename some"
                )
        with spark_errors("join"):
            return self._of(left.join(right, on=keys, how=how), "join", getattr(table, "_parts", ()))

    def group_by(self: T, columns: str | Sequence[str] = (), agg: Any = "count", join: bool = False) -> T:
        """Aggregate the rows of each group; the results are named as Spark does, such as ``sum(price)``.

        Parameters
        ----------
        columns : str or list of str
            The keys; without, all rows are one group.
        agg : str, list of str, or a dict of either by column
            Names of Spark's aggregate functions. A str or list applies to every column that is no key;
            ``{"*": "count"}`` counts rows.
        join : bool
            Join the results to the rows of their group, keys first; rows with a null key get nulls.
        """
        keys = self._existing(columns)
        if join and not keys:
            raise InvalidInputError("columns can not be empty if join is True")
        chosen = self._chosen(keys, agg)
        with spark_errors("group_by"):
            exprs = [_aggregate(how, name) for name, functions in chosen.items() for how in functions]
            grouped = self.df.groupBy(*[f"`{key}`" for key in keys]).agg(*exprs)
            return self._of(self.df.join(grouped, on=keys, how="left") if join else grouped, "group_by")

    def filter_by_frequency(self: T, columns: str | Sequence[str], min_freq: int = 2, *, keep_rows: bool = False) -> T:
        """The distinct keys, and only them, that at least `min_freq` rows have; a null is a key too.

        Parameters
        ----------
        columns : str or list of str
        min_freq : int
        keep_rows : bool
            Instead of the keys, all rows that have such keys, with all their columns.
        """
        from pyspark.sql import functions as sql

        keys = self._existing(columns)
        if not keys:
            raise InvalidInputError("columns is empty; name the columns to count by")
        if not isinstance(min_freq, int) or isinstance(min_freq, bool):
            raise InvalidInputError(f"min_freq should be int, but got {min_freq!r}.")
        counted = self._only(keys).groupBy(*[f"`{key}`" for key in keys]).agg(sql.count("*").alias("__count__"))
        frequent = counted.filter(sql.col("__count__") >= min_freq).drop("__count__")
        if not keep_rows:
            return self._of(frequent, "filter_by_frequency")
        renamed = frequent.toDF(*[_OWN_KEYS.format(i) for i in range(len(keys))])
        same = [sql.col(f"`{key}`").eqNullSafe(sql.col(_OWN_KEYS.format(i))) for i, key in enumerate(keys)]
        condition = same[0]
        for one in same[1:]:
            condition = condition & one
        return self._picked(self.df.join(renamed, on=condition, how="left_semi"), "filter_by_frequency")

    def difference_lag(
        self: T,
        columns: str | Sequence[str],
        sort_cols: str | Sequence[str],
        shifts: int | Sequence[int] = 1,
        partition_cols: str | Sequence[str] | None = None,
        out_cols: Any = None,
    ) -> T:
        """The difference to the value some rows before, as new last columns of the columns' own types.

        Parameters
        ----------
        columns : str or list of str
            Numeric ones.
        sort_cols : str or list of str
            What orders the rows, ascending.
        shifts : int or list of int
            How many rows before; negative for after. Null where there is no such row, or either value is null.
        partition_cols : str or list of str, optional
            Only rows with the same values here are before or after each other. Without, one task sorts the whole table.
        out_cols : str, list of str, or list of lists, optional
            A name for one column and one shift, a list if there is one of either, else for each column a list by
            shift. By default ``<sort_cols joined by _>_diff_lag_<column>_<shift>``.
        """
        from pyspark.sql import Window
        from pyspark.sql import functions as sql

        names, order = self._existing(columns), self._existing(sort_cols, "sort_cols")
        steps: list[Any] = list(shifts) if isinstance(shifts, (list, tuple)) else [shifts]
        for step in steps:
            if not isinstance(step, int) or isinstance(step, bool):
                raise InvalidInputError(f"elements in shift should be integer but get {step}")
        for name in names:
            self._require_lag_number(name)
        prefix = "_".join(order)
        outputs = crossed_names(
            names,
            steps,
            out_cols,
            lambda name, step: f"{prefix}_diff_lag_{name}_{step}",
            f"columns and {len(steps)} shifts",
        )
        keys = [] if partition_cols is None else self._existing(partition_cols, "partition_cols")
        window = Window.partitionBy(*[f"`{key}`" for key in keys]).orderBy(*[f"`{one}`" for one in order])
        added = {}
        for name, outs in zip(names, outputs, strict=True):
            value, kind = sql.col(f"`{name}`"), self.schema[name].dataType
            for step, out in zip(steps, outs, strict=True):
                if out in self.columns:
                    raise InvalidInputError(f"there is a column '{out}' already; give other out_cols")
                added[out] = (value - sql.lag(value, step).over(window)).cast(kind)
        return self._of(self.df.withColumns(added), "difference_lag")

    def _require_lag_number(self, name: str) -> None:
        from pyspark.sql.types import NumericType

        kind = self.schema[name].dataType
        if not isinstance(kind, NumericType):
            raise InvalidInputError(f"columns should be numeric but get {name} of type {kind.simpleString()}")

    def _chosen(self, keys: Sequence[str], agg: Any) -> dict[str, list[str]]:
        """The aggregates by column."""
        if isinstance(agg, Mapping):
            self._existing([name for name in agg if name != "*"], "agg")
            given = dict(agg)
        else:
            given = {name: agg for name in self.columns if name not in keys}
        chosen = {name: [one] if isinstance(one, str) else one for name, one in given.items()}
        for functions in [
            *chosen.values(),
            *([] if isinstance(agg, Mapping) else [[agg] if isinstance(agg, str) else agg]),
        ]:
            if not isinstance(functions, (list, tuple)) or not all(isinstance(one, str) for one in functions):
                raise InvalidInputError("agg should be str, list of str, or dict")
        if not any(chosen.values()):
            raise InvalidInputError("there is no column to aggregate; use agg={'*': 'count'} to count rows")
        return {name: list(functions) for name, functions in chosen.items()}


def _aggregate(how: str, name: str) -> Any:
    from pyspark.sql import Column
    from pyspark.sql import functions as sql

    if name == "*":
        if how != "count":
            raise InvalidInputError(f"agg of '*' should be count, but got {how}.")
        return sql.expr("count(1)")
    function = getattr(sql, how, None) if how.isidentifier() and not how.startswith("_") else None
    try:
        made = function(sql.col(f"`{name}`")) if callable(function) else None
    except TypeError:  # it takes more than a column
        made = None
    if not isinstance(made, Column):
        raise InvalidInputError(f"Spark has no aggregate function '{how}'; use one such as count, sum, avg, min or max")
    return made
