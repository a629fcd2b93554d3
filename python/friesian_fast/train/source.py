"""What `Estimator` takes as data, as row groups of Parquet files that every worker can read."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.train.order import Piece

GROUP_ROWS = 65_536  # of files that are written here
_SAMPLES, _BLOCK = 64, 4096  # of contents that are compared


@dataclass(frozen=True, slots=True)
class Source:
    """Parquet files of one schema, and their row groups in order.

    `ranges` holds the least and the greatest value of columns of numbers, as far as the files' statistics say;
    `scratch` is the directory of files that were written for this.
    """

    schema: Any
    pieces: tuple[Piece, ...]
    name: str
    ranges: Mapping[str, tuple[float, float]]
    scratch: Path | None = None

    def discard(self) -> None:
        """Remove what was written for this; it cannot be read any more."""
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)

    @property
    def rows(self) -> int:
        """Of all pieces."""
        return sum(piece.rows for piece in self.pieces)

    def digest(self) -> str:
        """A hash of samples of the contents: tells other data of the same shape, without reading all of it."""
        found = hashlib.sha256()
        for piece in self.pieces:
            if piece.table is not None:
                found.update(_sample_of_rows(piece.table))
        for file in dict.fromkeys(piece.file for piece in self.pieces if piece.table is None):
            for block in _sample_of_file(Path(file)):
                found.update(block)
        return found.hexdigest()


def open_source(data: Any, columns: Sequence[str] | None, *, name: str, in_memory: bool = False) -> Source:
    """Make data readable by row groups.

    Parameters
    ----------
    data : str, Path, pyarrow.Table, pandas.DataFrame, pyspark.sql.DataFrame or FeatureTable
        A path is of a Parquet file, or of a directory of them. Files of a path, and those of a FeatureTable that has
        nothing recorded, are read where they are; everything else is written to the scratch directory first.
    columns : sequence of str or None
        All that will be read; None means all there are.
    name : str
        What the data is called in error texts.
    in_memory : bool, default False
        Leave Arrow tables and pandas frames where they are, for workers of this process.

    Raises
    ------
    NotFoundError, InvalidInputError
        If there is nothing at the path, it is no Parquet, has no rows, or the data is of another kind.
    """
    if isinstance(data, (str, Path)):
        return _of_files(_find(Path(data)), f"{name} ({data})")
    if hasattr(data, "parts") and hasattr(data, "write_parquet"):
        files = _files_of(data)
        if files is not None:
            return _of_files(files, name)
        path = _scratch(name)
        (data if columns is None else data.select(*_known(columns, data.columns))).write_parquet(
            str(path / "rows.parquet")
        )
        return _of_files(_find(path), name, path)
    if hasattr(data, "rdd") and hasattr(data, "write"):
        from friesian_fast.feature import FeatureTable

        return open_source(FeatureTable(data), columns, name=name)
    if in_memory:
        return source_of(_to_arrow(data, name), name)
    path = _scratch(name)
    return _of_files([_write(_to_arrow(data, name), columns, path)], name, path)


def source_of(table: Any, name: str) -> Source:
    """An Arrow table as a source, in memory."""
    import pyarrow.compute as pc
    import pyarrow.types as types

    if not table.num_rows:
        raise InvalidInputError(f"{name} has no rows; there is nothing to learn from")
    ranges = {}
    for field in table.schema:
        if types.is_integer(field.type) or types.is_floating(field.type):
            found = pc.min_max(table.column(field.name)).as_py()
            if found["min"] is not None:
                ranges[field.name] = (float(found["min"]), float(found["max"]))
    starts = range(0, table.num_rows, GROUP_ROWS)
    slices = [table.slice(start, GROUP_ROWS) for start in starts]
    pieces = tuple(Piece(name, group, rows.num_rows, rows) for group, rows in enumerate(slices))
    return Source(table.schema.remove_metadata(), pieces, name, ranges)


def _sample_of_rows(table: Any) -> bytes:
    """The bytes of some rows, evenly spread."""
    import pyarrow as pa

    places = np.unique(np.linspace(0, table.num_rows - 1, _SAMPLES * 16).astype(np.int64))
    sink = pa.BufferOutputStream()
    rows = table.take(places)
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue().to_pybytes())


def _sample_of_file(path: Path) -> Iterator[bytes]:
    """Some blocks, evenly spread, and the end, which holds the sizes and the statistics of all column chunks."""
    size = path.stat().st_size
    with path.open("rb") as file:
        for start in np.linspace(0, max(size - _BLOCK, 0), _SAMPLES).astype(np.int64).tolist():
            file.seek(start)
            yield file.read(_BLOCK)
        file.seek(max(size - 16 * _BLOCK, 0))
        yield file.read()


def _known(columns: Sequence[str], present: Sequence[str]) -> list[str]:
    """Those that are there; the others are named once the schema is known."""
    return [column for column in columns if column in present] or list(present)


def _find(path: Path) -> list[str]:
    path = path.absolute()  # tasks of Spark run elsewhere
    if not path.exists():
        raise NotFoundError(f"there is no table at {path}; give a Parquet file, or a directory of them")
    if not path.is_dir():
        return [str(path)]
    found = (file for file in path.rglob("*.parquet") if file.is_file() and not file.name.startswith((".", "_")))
    files = sorted(str(file) for file in found)
    if not files:
        raise InvalidInputError(f"{path} holds no .parquet files; run the step that writes it again")
    return files


def _files_of(table: Any) -> list[str] | None:
    """The files of a table that is nothing but files."""
    from friesian_fast.feature.scan import FileSource

    plain = all(isinstance(part.source, FileSource) and not part.ops for part in table.parts)
    if not plain or getattr(table, "_distinct", False):
        return None
    return [str(Path(file).absolute()) for part in table.parts for file in part.source.files]


def _scratch(name: str) -> Path:
    from friesian_fast.feature.tasks import scratch

    return scratch(name.replace(" ", "-"))


def _to_arrow(data: Any, name: str) -> Any:
    import pyarrow as pa

    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if type(data).__module__.split(".")[0] == "pandas" and hasattr(data, "columns"):
        return pa.Table.from_pandas(data, preserve_index=False)
    raise InvalidInputError(
        f"{name} is a {type(data).__name__}; give a FeatureTable, a Spark or pandas DataFrame, an Arrow table or the "
        "path of Parquet"
    )


def _write(table: Any, columns: Sequence[str] | None, directory: Path) -> str:
    import pyarrow.parquet as pq

    if columns is not None:
        table = table.select(_known(columns, table.column_names))
    path = directory / "rows.parquet"
    pq.write_table(table, path, row_group_size=GROUP_ROWS, compression="lz4")
    return str(path)


def _of_files(files: Sequence[str], name: str, scratch: Path | None = None) -> Source:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pieces, groups, schema = [], [], None
    for file in files:
        try:
            parquet = pq.ParquetFile(file)
        except (OSError, pa.ArrowException) as error:
            raise InvalidInputError(f"{file} cannot be read as Parquet ({error}); write it again") from error
        found = parquet.schema_arrow.remove_metadata()
        schema = schema or found
        if found != schema:
            raise InvalidInputError(f"{file} has other columns than {files[0]}; write both with the same schema")
        for group in range(parquet.num_row_groups):
            rows = parquet.metadata.row_group(group).num_rows
            if rows:
                pieces.append(Piece(file, group, rows))
                groups.append(_ranges(parquet.metadata.row_group(group)))
    if not pieces:
        raise InvalidInputError(f"{name} has no rows; there is nothing to learn from")
    common = set.intersection(*(set(ranges) for ranges in groups))
    ranges = {n: (min(g[n][0] for g in groups), max(g[n][1] for g in groups)) for n in common}
    return Source(schema, tuple(pieces), name, ranges, scratch)


def _ranges(group: Any) -> dict[str, tuple[float, float]]:
    found = {}
    for at in range(group.num_columns):
        column = group.column(at)
        statistics = column.statistics
        if statistics is not None and statistics.has_min_max and isinstance(statistics.min, (int, float)):
            found[column.path_in_schema] = (float(statistics.min), float(statistics.max))
    return found
