"""Parquet files as sources: found, checked, cut into splits of row groups, read batch by batch."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from friesian_fast.errors import InvalidInputError, NotFoundError

# A batch of the widest rows we know (a hundred ids of 32 characters) is some tens of megabytes.
BATCH_ROWS = 16384
# Wider ones, such as a user's rows in one, come fewer at a time.
_BATCH_BYTES = 64 << 20
_SPLIT_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class FileSource:
    """Parquet files of one schema; `schema` holds the pyarrow schema they share.

    `origin` is the ``plan.Origin`` of files that a table's own step wrote.
    """

    files: tuple[str, ...]
    schema: Any
    rows: int
    origin: Any = field(default=None, compare=False)


# One file and the row groups of it to read.
Piece = tuple[str, list[int]]


def open_files(paths: str | Path | Sequence[str | Path]) -> FileSource:
    """Find and check the files behind paths: files, directories or patterns.

    Raises
    ------
    NotFoundError
        If a path leads to nothing.
    InvalidInputError
        If a file is no Parquet, or its columns differ from those of the first.
    """
    given = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not given:
        raise InvalidInputError("no path was given; name at least one Parquet file or directory")
    files = [file for path in given for file in _find(str(path))]
    schema, rows = None, 0
    for file in files:
        parquet = parquet_file(file)
        rows += parquet.metadata.num_rows
        found = _plain_schema(parquet)
        schema = schema or found
        if found != schema:
            raise InvalidInputError(f"{file}: {_difference(found, schema)} {files[0]}; write both with the same schema")
    return FileSource(tuple(files), schema, rows)


def parquet_file(path: str) -> Any:
    """An open ``pyarrow.parquet.ParquetFile``; the error names the file.

    Timestamps of 96 bits come in microseconds, as in Spark: in nanoseconds years after 2262 would be others.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, coerce_int96_timestamp_unit="us")
    except (OSError, pa.ArrowException) as error:
        raise InvalidInputError(f"{path} cannot be read as Parquet ({error}); write it again") from error


def null_counts(source: FileSource) -> dict[str, int]:
    """Nulls of each column, from the files' own statistics; columns without such are left out."""
    counts = dict.fromkeys(source.schema.names, 0)
    for file in source.files:
        metadata = parquet_file(file).metadata
        for group in (metadata.row_group(i) for i in range(metadata.num_row_groups)):
            for column in (group.column(i) for i in range(group.num_columns)):
                statistics = column.statistics
                if statistics is None or not statistics.has_null_count:
                    counts.pop(column.path_in_schema, None)
                elif column.path_in_schema in counts:
                    counts[column.path_in_schema] += statistics.null_count
    return counts


def size_of(source: FileSource) -> int:
    """How many bytes the values have in memory, about."""
    metadata = (parquet_file(file).metadata for file in source.files)
    return sum(one.row_group(i).total_byte_size for one in metadata for i in range(one.num_row_groups))


def splits(files: Sequence[str], at_least: int) -> list[list[Piece]]:
    """Cut files into runs of row groups of about the same size, in order, one for each task."""
    groups = []
    for file in files:
        metadata = parquet_file(file).metadata
        groups += [(file, i, metadata.row_group(i).total_byte_size) for i in range(metadata.num_row_groups)]
    total = sum(size for *_, size in groups)
    count = max(1, min(len(groups), max(at_least, -(-total // _SPLIT_BYTES))))
    result: list[list[Piece]] = [[] for _ in range(count)]
    done = 0
    for file, group, size in groups:
        split = result[min(count - 1, (done + size // 2) * count // max(total, 1))]
        if not split or split[-1][0] != file:
            split.append((file, []))
        split[-1][1].append(group)
        done += size
    return [split for split in result if split]


def read_split(pieces: Sequence[Piece], columns: Sequence[str]) -> Iterator[Any]:
    """The record batches of a split, dictionaries decoded, in the types that `open_files` tells."""
    import pyarrow as pa

    for file, groups in pieces:
        parquet = parquet_file(file)
        schema = _plain_schema(parquet)
        try:
            for batch in parquet.iter_batches(
                _batch_rows(parquet.metadata, groups), row_groups=groups, columns=list(columns), use_threads=False
            ):
                yield _in_types(plain_batch(batch).select(list(columns)), schema)
        except (OSError, pa.ArrowException) as error:
            raise InvalidInputError(f"{file} cannot be read as Parquet ({error}); write it again") from error


def _batch_rows(metadata: Any, groups: Sequence[int]) -> int:
    found = [metadata.row_group(group) for group in groups]
    size, rows = sum(group.total_byte_size for group in found), sum(group.num_rows for group in found)
    return int(max(1, min(BATCH_ROWS, _BATCH_BYTES * rows // max(size, 1))))


def plain_batch(batch: Any) -> Any:
    """The batch with its dictionary columns decoded."""
    import pyarrow as pa

    if not any(pa.types.is_dictionary(field.type) for field in batch.schema):
        return batch.replace_schema_metadata(None)
    arrays = [a.dictionary_decode() if pa.types.is_dictionary(a.type) else a for a in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def found_paths(path: str) -> list[str]:
    """The path itself, or what there is of such a pattern."""
    return [path] if Path(path).exists() else sorted(glob.glob(path))  # noqa: PTH207 - the pattern may be absolute


def _find(path: str) -> list[str]:
    path = path.removeprefix("file://")
    if "://" in path:
        raise InvalidInputError(f"{path} is not on a file system that the tasks can open; mount or copy it first")
    roots = found_paths(path)
    if not roots:
        raise NotFoundError(f"there is no file or directory {path}; run the step that writes it, or correct the path")
    files = []
    for root in map(Path, roots):
        inside = sorted(root.rglob("*")) if root.is_dir() else [root]
        files += [str(f.absolute()) for f in inside if f.is_file() and (f == root or _is_data(f.relative_to(root)))]
    if not files:
        raise NotFoundError(f"{path} has no Parquet files; run the step that writes it again")
    return files


def _is_data(path: Path) -> bool:
    return path.suffix == ".parquet" and not any(part.startswith((".", "_")) for part in path.parts)


def _plain_schema(parquet: Any) -> Any:
    """The file's schema, dictionaries decoded; timestamps of 96 bits are points in time, which Parquet cannot tell."""
    import pyarrow as pa

    leaves = (parquet.schema.column(i) for i in range(len(parquet.schema)))
    instants = {leaf.path.split(".")[0] for leaf in leaves if leaf.physical_type == "INT96"}
    fields = []
    for one in parquet.schema_arrow:
        kind = one.type.value_type if pa.types.is_dictionary(one.type) else one.type
        fields.append((one.name, _instant(kind) if one.name.split(".")[0] in instants else kind))
    return pa.schema(fields)


def _instant(kind: Any) -> Any:
    """The type with its timestamps in UTC, those in lists, structs and maps too."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC")
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_instant(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([one.with_type(_instant(one.type)) for one in kind])
    if pa.types.is_map(kind):
        return pa.map_(_instant(kind.key_type), _instant(kind.item_type))
    return kind


def _in_types(batch: Any, schema: Any) -> Any:
    import pyarrow as pa

    types = [schema.field(name).type for name in batch.schema.names]
    if types == batch.schema.types:
        return batch
    arrays = [array.cast(kind) for array, kind in zip(batch.columns, types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _difference(found: Any, wanted: Any) -> str:
    for one in wanted:
        if one.name not in found.names:
            return f"it has no column '{one.name}', unlike"
        if found.field(one.name).type != one.type:
            return f"column '{one.name}' has type {found.field(one.name).type}, but {one.type} in"
    return f"its columns are {', '.join(found.names)}, not those of"
