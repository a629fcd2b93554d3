"""The table itself: parts with recorded operations, a Spark DataFrame on demand, Parquet out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from friesian_fast._files import replacing_directory
from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.distinct import write_distinct
from friesian_fast.feature.ops import Op, Shape
from friesian_fast.feature.plan import FrameSource, Origin, Part, Stage, projected, recorded, stage_for
from friesian_fast.feature.scan import FileSource, found_paths, open_files
from friesian_fast.feature.session import get_session
from friesian_fast.feature.vocabulary_file import VocabularyFile
from friesian_fast.feature.write import count_rows, write_parts
from friesian_fast.spec import Transform

T = TypeVar("T", bound="Table")


class Table:
    """A thin, immutable wrapper of a Spark DataFrame that records column-local operations instead of running them.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
    """

    def __init__(self, df: Any) -> None:
        self._set((_frame_part(df),), False, {})

    def _set(self, parts: tuple[Part, ...], distinct: bool, vocabularies: Mapping[str, VocabularyFile]) -> None:
        self._parts = parts
        self._distinct = distinct
        self._vocabularies = vocabularies
        self._schema: Any = None
        self._df: Any = None

    def _with(
        self: T, parts: Iterable[Part], *, distinct: bool = False, more: Mapping[str, VocabularyFile] | None = None
    ) -> T:
        table = type(self).__new__(type(self))
        table._set(tuple(parts), distinct, {**self._vocabularies, **(more or {})})
        table._arrow_schema  # noqa: B018 - finds a wrong column or type now, before any job
        return table

    def _then(self: T, *ops: Op, more: Mapping[str, VocabularyFile] | None = None) -> T:
        """This table with operations recorded after its others."""
        return self._with((part.then(*ops) for part in self._plain_parts()), more=more)

    @classmethod
    def read_parquet(cls: type[T], paths: str | Path | Sequence[str | Path]) -> T:
        """Of Parquet files, directories of them, or patterns.

        Paths of this machine (also ``file://``) are read by tasks without the JVM; if one has any other scheme, such as
        ``s3a://`` or ``hdfs://``, or is a directory partitioned by a column (``day=1/``), all are handed to Spark as
        they are.

        Raises
        ------
        NotFoundError, InvalidInputError
            If a path leads to nothing, a file cannot be read, or their schemas differ.
        """
        given = [str(path) for path in ([paths] if isinstance(paths, (str, Path)) else paths)]
        if any(_is_remote(path) or _is_partitioned(path) for path in given):
            from friesian_fast.feature.frames import spark_errors

            with spark_errors("read_parquet"):
                return cls(get_session().read.parquet(*given))
        table = cls.__new__(cls)
        table._set((Part(open_files(given)),), False, {})
        return table

    @property
    def parts(self) -> tuple[Part, ...]:
        """The sources and what is recorded on each."""
        return self._parts

    @property
    def _arrow_schema(self) -> Any:
        if self._schema is None:
            self._schema = self._parts[0].schema()
        return self._schema

    @property
    def columns(self) -> list[str]:
        """The column names, in order."""
        return list(self._arrow_schema.names)

    @property
    def transforms(self) -> tuple[Transform, ...]:
        """What has been recorded, as the FeatureSpec keeps it; vocabularies are named by it.

        Operations that make rows, such as those of negatives, are no features and not among them.

        Raises
        ------
        InvalidInputError
            If a step of Spark's, such as a join, changed columns in between.
        """
        steps = (op for op in recorded(self._parts) if op.keeps_rows and not isinstance(op, Shape))
        return tuple(op.transform() for op in steps)

    @property
    def vocabularies(self) -> Mapping[str, VocabularyFile]:
        """The vocabularies that the recorded operations name."""
        return self._vocabularies

    @property
    def df(self) -> Any:
        """The table as a Spark DataFrame: what is recorded runs as one ``mapInArrow``.

        All columns of the table pass through it, also those that no operation touches: `select` those you need first.
        """
        if self._df is None:
            frames = [_frame(part, self.columns) for part in self._parts]
            joined = frames[0]
            for frame in frames[1:]:
                joined = joined.unionByName(frame)
            if self._distinct:
                from friesian_fast.feature.frames import spark_errors

                with spark_errors("drop_duplicates"):  # maps, in some versions of Spark
                    joined = joined.distinct()
            self._df = joined
        return self._df

    def to_spark_df(self) -> Any:
        """The same as `df`."""
        return self.df

    def size(self) -> int:
        """How many rows there are."""
        if self._distinct or not self._in_files():
            return int(self.df.count())
        return count_rows(get_session(), self._parts)

    def concat(self: T, tables: Table | Sequence[Table], mode: str = "inner", distinct: bool = False) -> T:
        """The rows of `tables`, then of this one.

        Columns of numbers take the narrowest type for those of all; integers of 32 and 64 bits become doubles beside
        floats, which round those beyond 2**53. Other types must be the same in all.

        Parameters
        ----------
        tables : Table or sequence of Table
        mode : {"inner", "outer"}
            Keep the columns that all have, in the order of the first; or all, with nulls where a table lacks one.
        distinct : bool
            Drop duplicate rows.
        """
        given = [tables] if isinstance(tables, Table) else list(tables)
        if mode not in ("inner", "outer"):
            raise InvalidInputError(f"concat mode should be either outer or inner,but got {mode}.")
        everyone: list[Table] = [*given, self]
        if mode == "inner":
            names = [name for name in everyone[0].columns if all(name in table.columns for table in everyone)]
        else:
            names = list(dict.fromkeys(name for table in everyone for name in table.columns))
        types = {name: _common_type(name, everyone) for name in names}
        everyone = [_fitted(table, types) for table in everyone]
        parts = [projected(part, names) for table in everyone for part in table._plain_parts()]
        vocabularies = {name: file for table in everyone for name, file in table._vocabularies.items()}
        return self._with(parts, distinct=distinct, more=vocabularies)

    def drop_duplicates(
        self: T, subset: str | Sequence[str] | None = None, sort_cols: Any = None, keep: str = "min"
    ) -> T:
        """One row of each kind.

        Parameters
        ----------
        subset : str or list of str, optional
            Rows count as the same when these columns are; by default all.
        sort_cols : str or list of str, optional
            Of the same rows keep the first by these columns, then by the others from left to right, for which Spark
            sorts all rows (the original went by where the rows lay, and lost columns named ``id`` or ``rank``).
        keep : {"min", "max"}
            The smallest or the largest of them.
        """
        if keep not in ("min", "max"):
            raise InvalidInputError(f"keep should be either min or max, but got {keep}.")
        keys = self._existing(subset if subset is not None else self.columns, "subset")
        if set(keys) == set(self.columns):  # rows that are the same in these are the same in all
            return self._with(self._plain_parts(), distinct=True)
        order = [] if sort_cols is None else self._existing(sort_cols, "sort_cols")
        return self._picked(_first_of_each(self.df, keys, order, keep), "drop_duplicates")

    def write_parquet(self, path: str | Path, mode: str = "overwrite") -> None:
        """Write the table as a directory of Parquet files; on this machine's disks it appears whole or not at all.

        Parameters
        ----------
        path : str or Path
            With a scheme other than ``file://`` Spark writes there.
        mode : {"overwrite", "append", "error", "ignore"}
            What to do when there is something at `path`; Spark appends, so a failure may leave files of its own there,
            but none that a reader takes for data.
        """
        if mode not in ("overwrite", "append", "error", "ignore"):
            raise InvalidInputError(f"mode is '{mode}'; use overwrite, append, error or ignore")
        if _is_remote(str(path)) or mode == "append":
            from friesian_fast.feature.frames import spark_errors

            with spark_errors("write_parquet"):
                self.df.write.mode(mode).parquet(str(path))
            return
        target = Path(str(path).removeprefix("file://"))
        if target.exists() and mode == "ignore":
            return
        if target.exists() and mode == "error":
            raise InvalidInputError(f"{target} exists; remove it, or write with mode='overwrite'")
        with replacing_directory(target) as building:
            if not self._in_files() or (self._distinct and not self._is_plain()):
                self.df.write.mode("overwrite").parquet(str(building))
            elif self._distinct:
                write_distinct(get_session(), self._parts, building)
            else:
                write_parts(get_session(), self._parts, building)

    def _in_files(self) -> bool:
        return all(isinstance(part.source, FileSource) for part in self._parts)

    def _is_plain(self) -> bool:
        """Whether all columns are such as Arrow can group."""
        import pyarrow as pa

        kinds = self._arrow_schema.types
        return not any(map(pa.types.is_nested, kinds))

    def _plain_parts(self) -> tuple[Part, ...]:
        """Parts whose rows, one after the other, are this table's."""
        if not self._distinct:
            return self._parts
        return (_frame_part(self.df, Origin("drop_duplicates", self._parts, keeps_columns=True)),)

    def _rewritten(self: T, part: Part, step: str) -> T:
        """A table on files to which this step wrote the rows of this table, all columns as they were."""
        origin = Origin(step, self._parts, keeps_columns=True)
        return self._with((replace(part, source=replace(part.source, origin=origin)),))

    def _picked(self: T, df: Any, step: str, others: Sequence[Part] = ()) -> T:
        """A table of rows that this step of Spark's picked, ordered or spread, all columns as they were."""
        return self._with((_frame_part(df, Origin(step, self._parts, keeps_columns=True, others=tuple(others))),))

    def _existing(self, columns: str | Sequence[str] | None, argument: str = "columns") -> list[str]:
        """The names as a list.

        Raises
        ------
        InvalidInputError
            If they are no names, or not of this table.
        """
        names = [columns] if isinstance(columns, str) else columns
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
            raise InvalidInputError(f"{argument} should be str or a list of str, but got {columns}.")
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise InvalidInputError(f"{missing} do not exist in this Table; it has {', '.join(self.columns)}")
        return list(names)

    def _require_new(self, names: Sequence[str]) -> None:
        """Refuse names for new columns that are there already, or twice among them."""
        taken = [name for name in names if name in self.columns or list(names).count(name) > 1]
        if taken:
            again = list(dict.fromkeys(taken))
            raise InvalidInputError(
                f"{again} would be there twice; choose other names, or drop or rename a column first"
            )

    def _type(self, column: str) -> Any:
        return self._arrow_schema.field(column).type


def _is_remote(path: str) -> bool:
    return "://" in path.removeprefix("file://")


def _is_partitioned(path: str) -> bool:
    """Whether directories in these have names such as ``day=1``, which Spark reads as a column."""
    roots = map(Path, found_paths(path.removeprefix("file://")))
    return any("=" in child.name and child.is_dir() for root in roots if root.is_dir() for child in root.iterdir())


def run_stage(stage: dict[str, Any], batches: Iterable[Any]) -> Iterator[Any]:
    """A stage on the batches of a partition of a DataFrame."""
    parsed = Stage.from_json(stage)
    for batch in batches:
        yield from parsed.stream(batch)


def _frame_part(df: Any, origin: Origin | None = None) -> Part:
    return Part(FrameSource(df, arrow_schema(df.schema), origin))


def arrow_schema(schema: Any) -> Any:
    """A Spark schema in Arrow's terms, timestamps in UTC."""
    from pyspark.sql.pandas.types import to_arrow_schema

    try:
        return to_arrow_schema(schema, timezone="UTC")
    except TypeError:  # older versions know UTC only, and no such argument
        return to_arrow_schema(schema)


def _frame(part: Part, outputs: Sequence[str]) -> Any:
    from functools import partial

    from pyspark.sql.pandas.types import from_arrow_schema

    source = part.source
    if isinstance(source, FrameSource) and not part.ops and list(outputs) == source.frame.columns:
        return source.frame  # itself, so that Spark sees what is cached
    frame = source.frame if isinstance(source, FrameSource) else get_session().read.parquet(*source.files)
    stage = stage_for(part, outputs)
    touched = frame.select(*[f"`{name}`" for name in stage.columns])
    if not stage.ops:
        return touched.select(*[f"`{name}`" for name in outputs])
    schema = part.then().schema()
    wanted = [schema.field(name) for name in outputs]
    import pyarrow as pa

    return touched.mapInArrow(partial(run_stage, stage.to_json()), from_arrow_schema(pa.schema(wanted)))


def _common_type(name: str, tables: Sequence[Table]) -> Any:
    """The Arrow type for a column of that name of all tables that have it."""
    import numpy as np
    import pyarrow as pa

    kinds: list[Any] = []
    for table in tables:
        if name in table.columns and table._type(name) not in kinds:  # lists may differ in a name only, and are equal
            kinds.append(table._type(name))
    if len(kinds) == 1:
        return kinds[0]
    others = [kind for kind in kinds if not (pa.types.is_integer(kind) or pa.types.is_floating(kind))]
    if not others:
        widest = pa.from_numpy_dtype(np.result_type(*[kind.to_pandas_dtype() for kind in kinds]))
        if pa.types.is_integer(widest) or not all(map(pa.types.is_integer, kinds)):
            return widest
    odd = others[0] if others else kinds[1]
    first = next(kind for kind in kinds if kind != odd)
    raise InvalidInputError(f"column '{name}' has type {first} in one table and {odd} in another; cast one of them")


def _fitted(table: Table, types: Mapping[str, Any]) -> Table:
    """The table with all these columns: nulls where it lacks one, cast where it has another type."""
    from friesian_fast.feature.ops import Cast, Constant

    ops: list[Op] = []
    for name, kind in types.items():
        if name not in table.columns:
            ops.append(Constant(name, None, str(kind)))
        elif table._type(name) != kind:
            ops.append(Cast(name, str(kind)))
    return table._then(*ops) if ops else table


def _first_of_each(df: Any, keys: list[str], order: list[str], keep: str) -> Any:
    from pyspark.sql import Window
    from pyspark.sql import functions as sql

    rank = "__friesian_rank__"
    others = [name for name, kind in df.dtypes if name not in {*keys, *order} and "map<" not in kind]
    columns = [sql.col(f"`{name}`") for name in [*order, *others]]
    if not columns:
        return df.dropDuplicates(keys)
    sorting = [column.asc() if keep == "min" else column.desc() for column in columns]
    window = Window.partitionBy(*[f"`{key}`" for key in keys]).orderBy(*sorting)
    return df.withColumn(rank, sql.row_number().over(window)).filter(f"{rank} = 1").drop(rank)
