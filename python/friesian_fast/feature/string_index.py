"""StringIndex: a vocabulary as users see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from friesian_fast._files import replacing_directory
from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.scan import open_files, read_split, splits
from friesian_fast.feature.session import get_session
from friesian_fast.feature.tasks import scratch
from friesian_fast.feature.vocabulary_file import VocabularyFile, read, write_vocabulary
from friesian_fast.feature.write import write_batches


class StringIndex:
    """Categories and their ids; 0 is kept for unknown ones.

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
        rows = df.select(df[col_name].cast("string"), df["id"]).collect()
        self._set(col_name, {row[0]: row[1] for row in rows}, None)

    def _set(self, col_name: str, ids: dict[str, int] | None, file: VocabularyFile | None) -> None:
        self.col_name = col_name
        self._ids = ids
        self._file = file

    @classmethod
    def from_dict(cls, indices: Mapping[str, int], col_name: str) -> StringIndex:
        """Of a dictionary from category to id."""
        if not isinstance(indices, Mapping):
            raise InvalidInputError(f"indices should be dict, but get {type(indices).__name__}")
        if not isinstance(col_name, str):
            found = None if col_name is None else type(col_name).__name__
            raise InvalidInputError(f"col_name should be str, but get {found}")
        index = cls.__new__(cls)
        index._set(col_name, dict(indices), None)
        return index

    @classmethod
    def from_file(cls, file: VocabularyFile, col_name: str) -> StringIndex:
        """Of a vocabulary file."""
        index = cls.__new__(cls)
        index._set(col_name, None, file)
        return index

    @classmethod
    def read_parquet(cls, paths: str | Path | Sequence[str | Path], col_name: str | None = None) -> StringIndex:
        """Of Parquet with the category and ``id``; the category's name defaults to that of the file."""
        import pyarrow as pa

        source = open_files(paths)
        first = paths if isinstance(paths, (str, Path)) else paths[0]
        col_name = col_name or Path(first).name.split(".")[0]
        for name in ("id", col_name):
            if name not in source.schema.names:
                raise InvalidInputError(f"{first} has no column '{name}'; it has {', '.join(source.schema.names)}")
        pieces = [piece for split in splits(source.files, 1) for piece in split]
        ids: dict[str, int] = {}
        for batch in read_split(pieces, [col_name, "id"]):
            ids.update(zip(batch.column(0).cast(pa.string()).to_pylist(), batch.column(1).to_pylist(), strict=True))
        return cls.from_dict(ids, col_name)

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
        """As a Spark DataFrame of `col_name` (string) and ``id`` (int)."""
        import pyarrow as pa

        return get_session().createDataFrame(pa.Table.from_batches([self._batch()]))

    def size(self) -> int:
        """How many categories it has."""
        return len(self._ids) if self._ids is not None else self.file.size

    def to_dict(self) -> dict[str, int]:
        """Category to id."""
        batch = self._batch()
        return dict(zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True))

    def write_parquet(self, path: str | Path, mode: str = "overwrite") -> None:
        """Write ``<path>/<col_name>.parquet``.

        Parameters
        ----------
        path : str
        mode : {"overwrite", "error", "ignore"}
        """
        target = Path(path) / f"{self.col_name}.parquet"
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
        import numpy as np
        import pyarrow as pa

        if self._ids is not None:
            ids = pa.array(self._ids.values(), pa.int32())
            return pa.record_batch({self.col_name: pa.array(self._ids, pa.string()), "id": ids})
        values = self._values()
        return pa.record_batch({self.col_name: values, "id": pa.array(np.arange(1, len(values) + 1, dtype=np.int32))})
