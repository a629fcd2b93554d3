"""Parquet to Parquet: tasks read a split, run the stage and write a part; no row passes through the JVM."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from friesian_fast.feature.plan import Part, Stage, stage_for, staged
from friesian_fast.feature.scan import FileSource, splits
from friesian_fast.feature.tasks import run_tasks

_GROUP_ROWS = 1 << 17
_GROUP_BYTES = 64 << 20


def write_parts(session: Any, parts: Sequence[Part], directory: Path) -> None:
    """Write the rows of parts of one schema, in order, as ``part-*.parquet`` and ``_SUCCESS``."""
    schema = parts[0].schema()
    inputs: list[dict[str, Any]] = []
    for part in parts:
        assert isinstance(part.source, FileSource)
        stage = stage_for(part, schema.names).to_json()
        for split in splits(part.source.files, session.sparkContext.defaultParallelism):
            path = directory / f"part-{len(inputs):05d}.snappy.parquet"
            inputs.append({"stage": stage, "pieces": split, "path": str(path)})
    run_tasks(session, write_split, inputs)
    finish(directory, schema)


def count_rows(session: Any, parts: Sequence[Part]) -> int:
    """How many rows the parts on files have, found by running what makes or drops rows."""
    inputs: list[dict[str, Any]] = []
    for part in parts:
        assert isinstance(part.source, FileSource)
        stage = stage_for(part, part.schema().names[:1]).to_json()
        pieces = splits(part.source.files, session.sparkContext.defaultParallelism)
        inputs += [{"stage": stage, "pieces": split} for split in pieces]
    return sum(answer["rows"] for answer in run_tasks(session, count_split, inputs))


def count_split(task: dict[str, Any]) -> dict[str, Any]:
    """The task that counts the rows of a split."""
    return {"rows": sum(batch.num_rows for batch in staged(Stage.from_json(task["stage"]), task["pieces"]))}


def finish(directory: Path, schema: Any) -> None:
    """Mark the directory as complete; a table without rows still gets a file that tells its columns."""
    if not any(directory.glob("part-*.parquet")):
        write_batches([], schema, directory / "part-00000.snappy.parquet")
    (directory / "_SUCCESS").touch()


def write_split(task: dict[str, Any]) -> dict[str, Any]:
    """The task that writes one part."""
    stage = Stage.from_json(task["stage"])
    return {"rows": write_batches(staged(stage, task["pieces"]), None, Path(task["path"]))}


def write_batches(batches: Iterable[Any], schema: Any, path: Path, *, scratch: bool = False) -> int:
    """Write batches as one Parquet file, in row groups of bounded size; the file appears whole.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
    schema : pyarrow.Schema or None
        By default that of the first batch; without rows and schema nothing is written.
    path : Path
    scratch : bool
        The file is read once, soon and here: values are written as they are, which costs the least.

    Returns
    -------
    int
        Rows written.
    """
    import pyarrow as pa

    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    writer, waiting, rows = None, [], 0
    try:
        for batch in batches:
            schema = schema or batch.schema
            waiting.append(batch)
            if sum(b.num_rows for b in waiting) >= _GROUP_ROWS or sum(b.nbytes for b in waiting) >= _GROUP_BYTES:
                writer = writer or _writer(partial, schema, scratch)
                rows += _flush(writer, waiting)
        if schema is None:
            return 0
        writer = writer or _writer(partial, schema, scratch)
        if waiting or rows == 0:
            rows += _flush(writer, waiting or [pa.RecordBatch.from_pylist([], schema)])
        writer.close()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return rows


def _writer(path: Path, schema: Any, scratch: bool) -> Any:
    """An open ``pyarrow.parquet.ParquetWriter``."""
    import pyarrow.parquet as pq

    if scratch:
        return pq.ParquetWriter(path, schema, compression="none", use_dictionary=False)
    coded = [column for field in schema for column in _coded(field.name, field.type, False)]
    return pq.ParquetWriter(path, schema, compression="snappy", use_dictionary=coded or False)


def _coded(path: str, kind: Any, in_list: bool) -> list[str]:
    """The columns to write with a dictionary: all but numbers in lists.

    A dictionary of those costs as much as all else about them, and hides from snappy that histories repeat each other.
    """
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _coded(f"{path}.list.element", kind.value_type, True)
    if pa.types.is_map(kind):
        inside = {"key": kind.key_type, "value": kind.item_type}
        return [one for name, inner in inside.items() for one in _coded(f"{path}.key_value.{name}", inner, True)]
    if pa.types.is_struct(kind):
        return [one for field in kind for one in _coded(f"{path}.{field.name}", field.type, in_list)]
    return [] if in_list and (pa.types.is_integer(kind) or pa.types.is_floating(kind)) else [path]


def _flush(writer: Any, waiting: list[Any]) -> int:
    import pyarrow as pa

    table = pa.Table.from_batches(waiting)
    waiting.clear()
    writer.write_table(table, row_group_size=max(1, table.num_rows))
    return int(table.num_rows)
