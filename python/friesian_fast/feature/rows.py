"""Table methods on whole rows: which to keep, in which order, in how many partitions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, TypeVar

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.frames import FrameTable, spark_errors
from friesian_fast.feature.ops import Draw, DrawShare, DrawTimes
from friesian_fast.feature.plan import Part
from friesian_fast.feature.table import Table

T = TypeVar("T", bound="RowsTable")

_MOST_TIMES = 1000  # that a row is drawn, on average


class RowsTable(FrameTable):
    """The part of `FeatureTable` that picks, orders and spreads rows."""

    def limit(self: T, num: int) -> T:
        """At most `num` rows; which, only a `sort` before settles."""
        return self._picked(self.df.limit(_count("num", num, 0)), "limit")

    def repartition(self: T, num_partitions: int) -> T:
        """The rows spread evenly over so many partitions."""
        return self._picked(self.df.repartition(_count("num_partitions", num_partitions, 1)), "repartition")

    def coalesce(self: T, num_partitions: int) -> T:
        """At most so many partitions, by joining some as they are."""
        return self._picked(self.df.coalesce(_count("num_partitions", num_partitions, 1)), "coalesce")

    def distinct(self: T) -> T:
        """Each row once."""
        return self._with(self._plain_parts(), distinct=True)

    def filter(self: T, condition: Any) -> T:
        """The rows for which the condition is true, so not those for which it is null.

        Parameters
        ----------
        condition : str or pyspark.sql.Column
            ``"price > 3"``, or ``table.price > 3``.
        """
        with spark_errors("filter"):
            return self._picked(self.df.filter(condition), "filter")

    def intersect(self: T, other: Table) -> T:
        """The distinct rows that are in both tables; columns are matched by position, nulls equal nulls."""
        return self._picked(self.df.intersect(self._other(other)), "intersect", other._parts)

    def subtract(self: T, other: Table) -> T:
        """The distinct rows that are not in `other`; columns are matched by position, nulls equal nulls."""
        return self._picked(self.df.subtract(self._other(other)), "subtract", other._parts)

    def _other(self, other: Table) -> Any:
        if not isinstance(other, Table):
            raise InvalidInputError(f"other should be a Table, but got {type(other).__name__}")
        if len(other.columns) != len(self.columns):
            raise InvalidInputError(
                f"other has the columns {', '.join(other.columns)}, not as many as {', '.join(self.columns)}"
            )
        return other.df

    def get_partition_row_number(self: T) -> T:
        """How many rows each partition has: ``partitionId`` (int) and ``count`` (long); empty ones are left out."""
        from pyspark.sql import functions as sql

        return self._of(
            self.df.groupBy(sql.spark_partition_id().alias("partitionId")).count(), "get_partition_row_number"
        )

    def dropna(self: T, columns: str | Sequence[str] | None, how: str = "any", thresh: int | None = None) -> T:
        """Drop rows with nulls; NaN in a float column counts as one.

        Parameters
        ----------
        columns : str, list of str or None
            Where to look; None is everywhere.
        how : {"any", "all"}
            Drop a row if any of the columns is null, or only if all are.
        thresh : int, optional
            Instead of `how`: the fewest values that are not null.
        """
        if how not in ("any", "all"):
            raise InvalidInputError(f"how should be any or all, but got {how}.")
        if thresh is not None:
            _count("thresh", thresh, 0)
        names = self.columns if columns is None else self._existing(columns)
        return self._picked(self.df.dropna(how, thresh, [f"`{name}`" for name in names]), "dropna")

    def random_split(
        self: T, weights: Sequence[float], seed: int | None = None, *, columns: str | Sequence[str] | None = None
    ) -> list[T]:
        """Put each row by chance into one of several tables.

        Which one depends on the seed and on the row's values, and on nothing else: neither on the partition nor on the
        machine. So rows with equal values go together. (The original's split came out differently each time it was
        computed.)

        Parameters
        ----------
        weights : list of float
            The tables' shares; they need not sum to 1.
        seed : int, optional
            By default 0. Other weights, or a split of what was split, draw anew; to split again in the same way what
            was written and read in between, give another seed.
        columns : str or list of str, optional
            The values that decide, by default those of all columns. Name a row's id to have the same split of tables
            with other columns, or the user to keep the rows of each user together.
        """
        found = list(weights) if isinstance(weights, Iterable) and not isinstance(weights, str) else []
        weighty = all(_is_number(one) and one >= 0 for one in found) and 0 < sum(found) < math.inf
        if not weighty:
            raise InvalidInputError(f"weights should be a list of numbers, none negative, but got {weights}.")
        # Rounded, so that [0.7, 0.2, 0.1] and [7, 2, 1] are the same split.
        bounds = [round(float(sum(found[:last]) / sum(found)), 12) for last in range(len(found) + 1)]
        drawn, own = self._drawn_by(columns), self._draw_seed(seed, "random_split", *bounds)
        return [self._then(DrawShare(drawn, own, low, high)) for low, high in pairwise(bounds)]

    split = random_split

    def sample(
        self: T,
        fraction: float,
        replace: bool = False,
        seed: int | None = None,
        *,
        columns: str | Sequence[str] | None = None,
    ) -> T:
        """A share of the rows by chance, of rows with different values about `fraction`.

        Parameters
        ----------
        fraction : float
            From 0 to 1; with `replace`, how often to expect each row, so it may be more, up to 1000.
        replace : bool
            A row may be drawn more than once.
        seed : int, optional
            By default 0; see `random_split`, also for samples of what was written and read.
        columns : str or list of str, optional
            The values that decide, by default those of all columns; see `random_split`.
        """
        if not _is_number(fraction) or not 0 <= fraction < math.inf or (fraction > 1 and not replace):
            raise InvalidInputError(f"fraction should be a number from 0 to 1, but got {fraction}.")
        if fraction > _MOST_TIMES:
            raise InvalidInputError(f"fraction should be a number from 0 to {_MOST_TIMES}, but got {fraction}.")
        share, drawn = float(fraction), self._drawn_by(columns)
        own = self._draw_seed(seed, "sample", bool(replace), share)
        if replace and share > 0:
            return self._then(DrawTimes(drawn, own, share))
        return self._then(DrawShare(drawn, own, 0.0, share))

    def _drawn_by(self, columns: str | Sequence[str] | None) -> tuple[str, ...]:
        return tuple(self.columns if columns is None else self._existing(columns))

    def _draw_seed(self, seed: int | None, *what: Any) -> int:
        """The seed of one draw: without `what` and the draws before it, the second of two would find the first's."""
        earlier = max(map(_draws, self._parts))
        text = repr((_seed("seed", 0 if seed is None else seed), earlier, *what))
        return int.from_bytes(sha256(text.encode()).digest()[:8], "little")

    def ordinal_shuffle_partition(self: T, *, seed: int | None = None) -> T:
        """Shuffle the rows inside each partition; equal ones stay side by side.

        Parameters
        ----------
        seed : int, optional
            By default 0. With the same one, a partition of the same rows comes in the same order, however they lay
            before. (The original had none, and lost a column named ``ordinal``.)
        """
        from pyspark.sql import functions as sql

        place, df = "__friesian_ordinal__", self.df
        first = sql.lit(self._draw_seed(seed, "ordinal_shuffle_partition") >> 1)  # Spark has signed numbers only
        hashed = [f"`{name}`" for name, kind in df.dtypes if "map<" not in kind]  # Spark hashes no maps
        drawn = df.withColumn(place, sql.xxhash64(first, *hashed))
        return self._picked(drawn.sortWithinPartitions(place).drop(place), "ordinal_shuffle_partition")

    def sort(self: T, *cols: Any, ascending: bool | Sequence[bool] = True) -> T:
        """The rows in order; nulls come first when ascending, last when not.

        Parameters
        ----------
        *cols : str, list of str, or pyspark.sql.Column
        ascending : bool or list of bool
            One for all, or one for each.
        """
        wanted = [col for given in cols for col in (given if isinstance(given, (list, tuple)) else [given])]
        if not wanted:
            raise InvalidInputError("cols should be str or a list of str, but got None.")
        self._existing([col for col in wanted if isinstance(col, str)], "cols")
        orders = list(ascending) if isinstance(ascending, (list, tuple)) else ascending
        if isinstance(orders, list) and len(orders) != len(wanted):
            raise InvalidInputError(f"ascending has {len(orders)} values for {len(wanted)} columns; give one for each")
        quoted = [f"`{col}`" if isinstance(col, str) else col for col in wanted]
        with spark_errors("sort"):
            return self._picked(self.df.sort(*quoted, ascending=orders), "sort")

    order_by = sort


def _count(name: str, value: Any, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidInputError(f"{name} should be an int of at least {least}, but got {value!r}.")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _seed(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InvalidInputError(f"{name} should be an int, but got {value!r}.")
    return int(value)


def _draws(part: Part) -> int:
    """How many draws of rows led to a part."""
    origin = part.source.origin
    before = (*origin.parts, *origin.others) if origin else ()
    return sum(isinstance(op, Draw) for op in part.ops) + max(map(_draws, before), default=0)
