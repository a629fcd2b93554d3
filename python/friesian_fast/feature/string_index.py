"""StringIndex: a vocabulary as users see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from friesian_fast._files import replacing_directory
from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.frames import spark_errors
from friesian_fast.feature.ops.cast import cast_array
from friesian_fast.feature.scan import open_files, read_split, splits
from friesian_fast.feature.session import get_session
from friesian_fast.feature.table import _is_remote, arrow_schema
from friesian_fast.feature.tasks import scratch
from friesian_fast.feature.vocabulary_file import VocabularyFile, read, write_vocabulary
from friesian_fast.feature.write import write_batches


class StringIndex:
    """Categories and their ids; 0 is kept for unknown ones.

    What it has no method for, such as ``filter`` or ``show``, goes to a `FeatureTable` of its `df`.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
        With the columns `col_name` and ``id``.
    col_name : str

    Examples
    --------
    >>> StringIndex.from_dict({"GIF": 1, "Photo": 2}, "present_media").to_dict()
    {'GIF': 1, 'Photo': 2}
    """

    def __init__(self, df: Any, col_name: str) -> None:
        if len(df.columns) < 2:
            raise InvalidInputError(f"StringIndex should have >= 2 columns: id and the category, but got {df.columns}")
        for name in ("id", col_name):
            if name not in df.columns:
                raise InvalidInputError(f"{name} should be a column of the DataFrame")
        kinds = arrow_schema(df.select(col_name, "id").schema).types
        rows = df.select(df[col_name].cast("string"), df["id"].cast("long")).collect()
        self._set(col_name, checked_ids(dict(map(tuple, rows)), col_name), None, *kinds)

    def _set(
        self, col_name: str, ids: dict[str, int] | None, file: VocabularyFile | None, kind: Any, id_kind: Any = None
    ) -> None:
        """`ids` go by the categories' texts; `kind` and `id_kind` are the Arrow types of the two columns."""
        self.col_name = col_name
        self._ids = ids
        self._file = file
        self._kind = kind
        self._id_kind = id_kind

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        from friesian_fast.feature import FeatureTable

        return getattr(FeatureTable(self.df), name)

    @classmethod
    def from_dict(cls, indices: Mapping[str, int], col_name: str) -> StringIndex:
        """Of a dictionary from category (str) to id (int).

        Raises
        ------
        InvalidInputError
            If it is no such dictionary, or `col_name` no str.
        """
        if not isinstance(indices, Mapping):
            raise InvalidInputError(f"indices should be dict, but get {type(indices).__name__}")
        if not isinstance(col_name, str):
            found = None if col_name is None else type(col_name).__name__
            raise InvalidInputError(f"col_name should be str, but get {found}")
        import pyarrow as pa

        index = cls.__new__(cls)
        index._set(col_name, checked_ids(dict(indices), col_name), None, pa.string())
        return index

    @classmethod
    def from_file(cls, file: VocabularyFile, col_name: str, kind: Any = None) -> StringIndex:
        """Of a vocabulary file; its texts stand for categories of the Arrow type `kind`, by default for themselves."""
        import pyarrow as pa

        index = cls.__new__(cls)
        index._set(col_name, None, file, kind or pa.string())
        return index

    @classmethod
    def read_parquet(cls, paths: str | Path | Sequence[str | Path], col_name: str | None = None) -> StringIndex:
        """Of Parquet with the category and ``id``; the category's name defaults to that of the file.

        If a path has a scheme other than ``file://``, Spark reads them.
        """
        given = [str(path) for path in ([paths] if isinstance(paths, (str, Path)) else paths)]
        first = given[0] if given else ""
        col_name = col_name or Path(first).name.split(".")[0]
        if any(_is_remote(path) for path in given):
            with spark_errors("read_parquet"):
                return cls(get_session().read.parquet(*given), col_name)
        source = open_files(given)
        for name in ("id", col_name):
            if name not in source.schema.names:
                raise InvalidInputError(f"{first} has no column '{name}'; it has {', '.join(source.schema.names)}")
        pieces = [piece for split in splits(source.files, 1) for piece in split]
        ids: dict[str, int] = {}
        for batch in read_split(pieces, [col_name, "id"]):
            texts = cast_array(batch.column(0), "string").to_pylist()
            ids.update(zip(texts, batch.column(1).to_pylist(), strict=True))
        index = cls.__new__(cls)
        index._set(col_name, checked_ids(ids, col_name), None, source.schema.field(col_name).type)
        return index

    @property
    def fixed(self) -> dict[str, int] | None:
        """The dictionary, if the ids are not 1 to n in order."""
        if self._ids is None or self._is_dense():
            return None
        return self._ids

    @property
    def file(self) -> VocabularyFile:
        """The vocabulary as a file that tasks can map.

        Raises
        ------
        InvalidInputError
            If the ids are not 1 to n.
        """
        if self._file is None:
            if not self._is_dense():
                raise InvalidInputError(f"the ids of index '{self.col_name}' are not 1 to {self.size()}, each once")
            self._file = write_vocabulary(scratch("index") / "index.arrow", self._values())
        return self._file

    @property
    def columns(self) -> list[str]:
        """The columns of `df`."""
        return [self.col_name, "id"]

    @property
    def df(self) -> Any:
        """As a Spark DataFrame of `col_name`, of the type of the categories, and ``id`` (int)."""
        import pyarrow as pa

        return get_session().createDataFrame(pa.Table.from_batches([self._batch()]))

    def size(self) -> int:
        """How many categories it has."""
        return len(self._ids) if self._ids is not None else self.file.size

    def cast(self, columns: str | Sequence[str] | None, dtype: Any) -> StringIndex:
        """An index whose categories, ids or, by None, both are of another type; see `FeatureTable.cast`."""
        from friesian_fast.feature import FeatureTable

        return StringIndex(FeatureTable(self.df).cast(columns, dtype).df, self.col_name)

    def cache(self) -> StringIndex:
        """This index, as it is: it never has to be computed again."""
        return self

    uncache = cache

    def to_dict(self) -> dict[Any, int]:
        """Category, in its type, to id."""
        batch = self._batch()
        return dict(zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True))

    def write_parquet(self, path: str | Path, mode: str = "overwrite") -> None:
        """Write ``<path>/<col_name>.parquet``.

        Parameters
        ----------
        path : str or Path
            With a scheme other than ``file://`` Spark writes there.
        mode : {"overwrite", "error", "ignore"}
        """
        text = str(path).removeprefix("file://")
        if _is_remote(text):
            with spark_errors("write_parquet"):
                self.df.coalesce(1).write.mode(mode).parquet(f"{text.rstrip('/')}/{self.col_name}.parquet")
            return
        target = Path(text) / f"{self.col_name}.parquet"
        if target.exists() and mode == "ignore":
            return
        if target.exists() and mode != "overwrite":
            raise InvalidInputError(f"{target} exists; remove it, or write with mode='overwrite'")
        if target.is_file():
            target.unlink()
        with replacing_directory(target) as building:
            batch = self._batch()
            write_batches([batch], batch.schema, building / "part-00000.snappy.parquet")
            (building / "_SUCCESS").touch()

    def _is_dense(self) -> bool:
        return self._ids is None or sorted(self._ids.values()) == list(range(1, len(self._ids) + 1))

    def _values(self) -> Any:
        import pyarrow as pa

        if self._ids is None:
            return read(self.file.path).column("value")
        return pa.array(sorted(self._ids, key=self._ids.__getitem__), pa.string())

    def _batch(self) -> Any:
        import pyarrow as pa

        if self._ids is not None:
            values, ids = pa.array(self._ids, pa.string()), pa.array(self._ids.values(), self._id_kind or pa.int32())
        else:
            values = self._values()
            ids = pa.array(np.arange(1, len(values) + 1, dtype=np.int32))
        return pa.RecordBatch.from_arrays([typed(values, self._kind), ids], names=self.columns)


def typed(texts: Any, kind: Any) -> Any:
    """The values of that Arrow type whose texts these are."""
    import pyarrow as pa

    if pa.types.is_string(kind):
        return texts
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if pa.types.is_timestamp(kind):  # the texts are in UTC and name no zone
        return texts.cast(pa.timestamp(kind.unit)).cast(pa.int64()).cast(kind)
    return cast_array(texts, str(kind)) if plain else texts.cast(kind)


def checked_ids(ids: Mapping[Any, Any], col_name: str) -> dict[str, int]:
    """The dictionary, its numbers as plain int.

    Raises
    ------
    InvalidInputError
        If it does not lead from str to int of 32 bits.
    """
    for category, number in ids.items():
        whole = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
        if not isinstance(category, str) or not whole or not -(2**31) <= number < 2**31:
            raise InvalidInputError(
                f"indices of '{col_name}' should lead from str to int, neither null, but have {category!r}: {number!r}"
            )
    return {category: int(number) for category, number in ids.items()}
