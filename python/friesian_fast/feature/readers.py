"""Tables of CSV, JSON, text and pandas, by Spark's own readers, so from any of its file systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from friesian_fast.errors import InvalidInputError, NotSupportedError
from friesian_fast.feature.frames import FrameTable, spark_errors
from friesian_fast.feature.ops import TYPES, Cast
from friesian_fast.feature.session import get_session

T = TypeVar("T", bound="ReadersTable")

Paths = str | Path | Sequence[str | Path]


class ReadersTable(FrameTable):
    """The part of `FeatureTable` that reads other formats than Parquet."""

    @classmethod
    def read_csv(
        cls: type[T],
        paths: Paths,
        delimiter: str = ",",
        header: bool = False,
        names: str | Sequence[str] | None = None,
        dtype: str | Sequence[str] | Mapping[str, str] | None = None,
    ) -> T:
        """Of CSV files, directories of them or patterns; an empty field is null.

        Parameters
        ----------
        paths : str, Path or list of them
        delimiter : str
        header : bool
            The first line of each file has the names; without, they are ``_c0``, ``_c1`` and so on.
        names : str or list of str, optional
            Other names, for all columns.
        dtype : str, list of str or dict of str to str, optional
            A type of `cast` for all columns, for each, or for some by name. Such columns are read as the texts they
            are, so "007" stays so as string (the original guessed a number first); "1.0" is 1 as int. The types of
            all others are found by a reading of their own.
        """
        session, files = get_session(), _paths(paths)
        options = {"sep": delimiter, "header": bool(header)}
        with spark_errors("read_csv"):
            texts = session.read.csv(files, **options)
            columns = _names(texts.columns, names)
            types = _types(columns, dtype)
            if len(types) < len(columns):
                found = session.read.csv(files, inferSchema=True, **options).schema
                texts = session.read.csv(files, schema=_with_texts(found, columns, types), **options)
        table = cls(texts.toDF(*columns))
        return table._then(*(Cast(name, TYPES[kind]) for name, kind in types.items() if TYPES[kind] != "string"))

    @classmethod
    def read_json(cls: type[T], paths: Paths, cols: str | Sequence[str] | None = None) -> T:
        """Of files with a JSON object in each line; columns are in alphabetical order.

        Parameters
        ----------
        paths : str, Path or list of them
        cols : str or list of str, optional
            Only these, in this order.
        """
        with spark_errors("read_json"):
            table = cls(get_session().read.json(_paths(paths)))
        return table if cols is None else table._of(table._only(table._existing(cols, "cols")))

    @classmethod
    def read_text(cls: type[T], paths: Paths, col_name: str = "value") -> T:
        """Of text files: a string column with a row for each line, a header being a line like any other."""
        if not isinstance(col_name, str):
            raise InvalidInputError(f"col_name should be str, but got {col_name!r}.")
        files = _paths(paths)
        with spark_errors("read_text"):
            return cls(get_session().read.text(files).toDF(col_name))

    @classmethod
    def read_iceberg(cls: type[T], table: str) -> T:
        """Of an Iceberg table: its name in a catalog of the session, or its path.

        Spark reads it, so the session needs the package ``org.apache.iceberg:iceberg-spark-runtime`` of its version.
        """
        return cls(_loaded("read_iceberg", "iceberg", "org.apache.iceberg:iceberg-spark-runtime", table))

    @classmethod
    def read_delta(cls: type[T], path: str | Path) -> T:
        """Of a Delta Lake table by its path.

        Spark reads it, so the session needs the package ``io.delta:delta-spark`` of its version, and Delta's extension
        and catalog.
        """
        return cls(_loaded("read_delta", "delta", "io.delta:delta-spark", str(path)))

    @classmethod
    def from_pandas(cls: type[T], pandas_df: Any) -> T:
        """Of a ``pandas.DataFrame``, without its index; None and NaN become null."""
        import pandas as pd

        if not isinstance(pandas_df, pd.DataFrame):
            raise InvalidInputError(f"pandas_df should be a pandas DataFrame, but got {type(pandas_df).__name__}")
        with spark_errors("from_pandas"):
            return cls(get_session().createDataFrame(pandas_df))


def _loaded(what: str, source: str, package: str, place: str) -> Any:
    """What a reader that Spark may or may not have gives.

    Raises
    ------
    NotSupportedError
        If Spark has no such reader.
    """
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    if not isinstance(place, str) or not place:
        raise InvalidInputError(f"{what} takes a table's name or path, but got {place!r}.")
    with spark_errors(what):
        try:
            return get_session().read.format(source).load(place)
        except (PySparkException, Py4JJavaError) as error:
            if "DATA_SOURCE_NOT_FOUND" not in str(error) and "ClassNotFound" not in str(error):
                raise
            raise NotSupportedError(
                f"{what}: this Spark session has no reader for {source}; start it with {package}_<Scala>:<version> in "
                "spark.jars.packages, or its jar in spark.jars: get_session(options={...})"
            ) from error


def _paths(paths: Paths) -> list[str]:
    given = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not given:
        raise InvalidInputError("no path was given; name at least one file or directory")
    return [str(path) for path in given]


def _names(columns: list[str], names: Any) -> list[str]:
    if names is None:
        return columns
    given = [names] if isinstance(names, str) else names
    if not isinstance(given, (list, tuple)) or not all(isinstance(name, str) for name in given):
        raise InvalidInputError(f"names should be str or a list of str, but got {names}.")
    if len(given) != len(columns):
        raise InvalidInputError(
            f"names should have the same length as the number of columns: {len(given)} and {len(columns)}"
        )
    return list(given)


def _types(columns: list[str], dtype: Any) -> dict[str, str]:
    """The types that were given, by column."""
    if dtype is None:
        return {}
    if isinstance(dtype, str):
        types = dict.fromkeys(columns, dtype)
    elif isinstance(dtype, Mapping):
        types = dict(dtype)
    elif isinstance(dtype, (list, tuple)):
        if len(dtype) != len(columns):
            raise InvalidInputError(
                f"dtype should have the same length as the number of columns: {len(dtype)} and {len(columns)}"
            )
        types = dict(zip(columns, dtype, strict=True))
    else:
        raise InvalidInputError(f"dtype should be str or a list of str or dict, but got {type(dtype).__name__}.")
    missing = [name for name in types if name not in columns]
    if missing:
        raise InvalidInputError(f"{missing} do not exist in this Table; it has {', '.join(columns)}")
    for kind in types.values():
        if not isinstance(kind, str) or kind not in TYPES:
            raise InvalidInputError("dtype should be string, boolean, int, long, short, float, double.")
    return types


def _with_texts(found: Any, columns: list[str], types: Mapping[str, str]) -> Any:
    """The schema that was found, with string for the columns whose type was given."""
    from pyspark.sql.types import StringType, StructField, StructType

    fields = zip(found.fields, columns, strict=True)
    return StructType(
        [StructField(field.name, StringType() if name in types else field.dataType) for field, name in fields]
    )
