"""Table methods that hand over to Spark or to the driver: the frame, its columns, its rows, its cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from friesian_fast._files import replacing_directory
from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.feature.plan import Origin, Part
from friesian_fast.feature.table import Table, _frame_part

T = TypeVar("T", bound="FrameTable")


class FrameTable(Table):
    """The part of `FeatureTable` that hands over to Spark."""

    def _of(self: T, df: Any, step: str = "a step of Spark's", others: Sequence[Part] = ()) -> T:
        """A table of the same class on another Spark DataFrame, which this step made of this table, and of others."""
        return self._with((_frame_part(df, Origin(step, self._parts, keeps_columns=False, others=tuple(others))),))

    if not TYPE_CHECKING:  # else mypy would take every misspelt method for a column

        def __getattr__(self, name: str) -> Any:
            """A column of that name, as a Spark Column; else the attribute of that name of the Spark DataFrame."""
            if "_parts" not in self.__dict__ or hasattr(type(self), name) or name.startswith("__"):
                raise AttributeError(name)
            if name in self.columns:
                return self.col(f"`{name}`")
            from pyspark.sql import DataFrame

            if not name.startswith("_") and hasattr(DataFrame, name):
                return getattr(self.df, name)
            raise AttributeError(
                f"{type(self).__name__} has no method and no column '{name}'; its columns are {', '.join(self.columns)}"
            )

    @property
    def schema(self) -> Any:
        """The schema, as Spark's ``StructType``; runs nothing."""
        from pyspark.sql.pandas.types import from_arrow_schema

        return from_arrow_schema(self._arrow_schema)

    @property
    def dtypes(self) -> list[tuple[str, str]]:
        """Names and Spark's types of the columns, such as ``("price", "double")`` (the original's raised TypeError)."""
        return [(field.name, field.dataType.simpleString()) for field in self.schema.fields]

    def col(self, name: str) -> Any:
        """A Spark Column by its name; it refers to that column of whatever table it is used with."""
        from pyspark.sql import functions as sql

        return sql.col(name)

    def compute(self: T) -> T:
        """Compute every row and column now and throw the result away; returns this table.

        Only `cache` makes later steps use what was computed.
        """
        self.df.write.format("noop").mode("overwrite").save()
        return self

    def broadcast(self) -> None:
        """Mark this table, in place, as small enough for Spark to send it whole to every task of a join."""
        from pyspark.sql import functions as sql

        origin = Origin("broadcast", self._parts, keeps_columns=True)
        self._set((_frame_part(sql.broadcast(self.df), origin),), False, self._vocabularies)

    def cache(self: T) -> T:
        """Let Spark keep the rows once computed, for later steps too; returns this table.

        A table on Parquet files with nothing but recorded operations goes on reading the files where that is the
        cheaper, in its native stage.
        """
        df = self.df.cache()
        if not self._in_files():
            origin = Origin("cache", self._parts, keeps_columns=True)
            self._set((_frame_part(df, origin),), False, self._vocabularies)
            self._df = df
        return self

    def uncache(self: T) -> T:
        """Forget what `cache` kept, if anything; returns this table."""
        if self.df.is_cached:
            self.df.unpersist()
        return self

    def show(self, n: int = 20, truncate: bool | int = True) -> None:
        """Print the first `n` rows; long texts cut at 20 characters, or at `truncate`."""
        self.df.show(n, truncate)

    def collect(self) -> list[Any]:
        """All rows on the driver, as ``pyspark.sql.Row``, in the order of `df`."""
        return list(self.df.collect())

    def to_pandas(self) -> Any:
        """All rows on the driver, as a ``pandas.DataFrame``."""
        return self.df.toPandas()

    def to_list(self, column: str) -> list[Any]:
        """The values of one column on the driver, in the order of the rows of `df`."""
        if not isinstance(column, str):
            raise InvalidInputError("Column must have type str.")
        self._existing(column)
        return [row[0] for row in self._only([column]).collect()]

    def to_dict(self) -> dict[str, list[Any]]:
        """All rows on the driver, as one list per column."""
        rows = self.df.collect()
        return {name: [row[i] for row in rows] for i, name in enumerate(self.columns)}

    def write_csv(
        self,
        path: str | Path,
        delimiter: str = ",",
        mode: str = "overwrite",
        header: bool = True,
        num_partitions: int | None = None,
    ) -> None:
        """Write a directory of CSV files; on this machine's disks it appears whole or not at all.

        Parameters
        ----------
        path : str or Path
        delimiter : str
        mode : {"overwrite", "append", "error", "ignore"}
        header : bool
            A line with the names in each file.
        num_partitions : int, optional
            How many files; fewer than there are partitions joins them in order.
        """
        if mode not in ("overwrite", "append", "error", "ignore"):
            raise InvalidInputError(f"mode is '{mode}'; use overwrite, append, error or ignore")
        if num_partitions is not None and (not isinstance(num_partitions, int) or num_partitions < 1):
            raise InvalidInputError(f"num_partitions should be an int of at least 1, but got {num_partitions!r}.")
        df = self.df
        if num_partitions is not None:
            fewer = num_partitions <= df.rdd.getNumPartitions()
            df = df.coalesce(num_partitions) if fewer else df.repartition(num_partitions)
        text, options = str(path).removeprefix("file://"), {"sep": delimiter, "header": bool(header)}
        with spark_errors("write_csv"):
            if "://" in text or mode == "append":
                df.write.csv(text, mode=mode, **options)
                return
            target = Path(text)
            if target.exists() and mode == "error":
                raise InvalidInputError(f"{target} exists; remove it, or write with mode='overwrite'")
            if target.exists() and mode == "ignore":
                return
            with replacing_directory(target) as building:
                df.write.csv(str(building), mode="overwrite", **options)

    def _only(self, columns: list[str]) -> Any:
        """A Spark DataFrame of these columns, for which only they are read and computed."""
        from friesian_fast.feature.ops import Select

        return self.df.select(*[f"`{c}`" for c in columns]) if self._distinct else self._then(Select(tuple(columns))).df


@contextmanager
def spark_errors(what: str) -> Iterator[None]:
    """Give Spark's refusals of a plan, an argument or a path our names.

    Raises
    ------
    NotFoundError
        If a path leads to nothing.
    InvalidInputError
        If Spark refuses anything else; the message has Spark's own first line, which names the column or argument.
    """
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import AnalysisException, IllegalArgumentException, PySparkTypeError, PySparkValueError

    try:
        yield
    except Py4JJavaError as error:  # what pyspark has no class for, such as a file system that is not configured
        line = str(error.java_exception.toString()).splitlines()[0]
        raise InvalidInputError(f"{what}: {line}") from error
    except (AnalysisException, IllegalArgumentException, PySparkTypeError, PySparkValueError) as error:
        line = str(error).strip().splitlines()[0]
        kind = NotFoundError if "PATH_NOT_FOUND" in line else InvalidInputError
        raise kind(f"{what}: {line}") from error
