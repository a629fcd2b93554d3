"""Parquet to Parquet: tasks read a split, run the stage and write a part; no row passes through the JVM."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
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
    """How many rows the parts on files have: the files tell, except where recorded operations make or drop rows."""
    rows = 0
    inputs: list[dict[str, Any]] = []
    for part in parts:
        assert isinstance(part.source, FileSource)
        if all(op.keeps_rows for op in part.ops):
            rows += part.source.rows
            continue
        stage = stage_for(part, part.schema().names[:1]).to_json()
        pieces = splits(part.source.files, session.sparkContext.defaultParallelism)
        inputs += [{"stage": stage, "pieces": split} for split in pieces]
    return rows + sum(int(answer["rows"]) for answer in run_tasks(session, count_split, inputs))


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
    import pyarrow.parquet as pq

    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    writer, waiting, rows = None, [], 0
    try:
        for batch in batches:
            schema = schema or batch.schema
            waiting.append(batch)
            if sum(b.num_rows for b in waiting) >= _GROUP_ROWS or sum(b.nbytes for b in waiting) >= _GROUP_BYTES:
                writer = writer or pq.ParquetWriter(partial, schema, **_options(schema, scratch))
                rows += _flush(writer, waiting)
        if schema is None:
            return 0
        writer = writer or pq.ParquetWriter(partial, schema, **_options(schema, scratch))
        if waiting or rows == 0:
            rows += _flush(writer, waiting or [pa.RecordBatch.from_pylist([], schema)])
        writer.close()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return rows


def _options(schema: Any, scratch: bool) -> dict[str, Any]:
    """How a file is written: integers in lists by their differences, floats in lists plainly, all else by dictionaries.

    Histories and negatives hold too many different ids for a dictionary to pay: without, writing takes half the CPU,
    reading less too, and the file is about as large.
    """
    import pyarrow as pa

    if scratch:
        return {"compression": "none", "use_dictionary": False}
    leaves = dict(leaf for field in schema for leaf in _leaves(field.name, field.type))
    listed = {path: kind for path, kind in leaves.items() if ".list." in path}
    whole = [path for path, kind in listed.items() if pa.types.is_integer(kind)]
    plain = [path for path, kind in listed.items() if pa.types.is_floating(kind)]
    coded = [path for path in leaves if path not in whole + plain]
    encodings = dict.fromkeys(whole, "DELTA_BINARY_PACKED")
    return {"compression": "snappy", "use_dictionary": coded or False, "column_encoding": encodings or None}


def _leaves(path: str, kind: Any) -> Iterator[tuple[str, Any]]:
    """The columns that Parquet makes of one, by its names for them."""
    import pyarrow as pa

    if pa.types.is_map(kind):
        yield from _leaves(f"{path}.key_value.key", kind.key_type)
        yield from _leaves(f"{path}.key_value.value", kind.item_type)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    else:
        yield path, kind


def _flush(writer: Any, waiting: list[Any]) -> int:
    import pyarrow as pa

    table = pa.Table.from_batches(waiting)
    waiting.clear()
    writer.write_table(table, row_group_size=max(1, table.num_rows))
    return int(table.num_rows)
