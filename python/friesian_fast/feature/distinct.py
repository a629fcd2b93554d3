"""Distinct rows of Parquet files: tasks drop their own duplicates, then one task per shard drops those in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from friesian_fast.feature.ops.keys import normal
from friesian_fast.feature.plan import Part, Stage, stage_for, staged
from friesian_fast.feature.scan import FileSource, splits
from friesian_fast.feature.shuffle import by_shard, spill, spilled
from friesian_fast.feature.tasks import run_tasks, scratch
from friesian_fast.feature.write import count_rows, finish, write_batches

# Rows that one task can sort in memory with ease.
_SHARD_ROWS = 2_000_000
_PENDING_ROWS = 1 << 19


def write_distinct(session: Any, parts: Sequence[Part], directory: Path) -> None:
    """Write the distinct rows of parts of one schema, sorted by their columns in order within each part file.

    Which file a row goes to depends on the row and on how many rows there are, not on how the files are cut.
    """
    schema = parts[0].schema()
    work = scratch("distinct")
    shards = max(1, -(-count_rows(session, parts) // _SHARD_ROWS))
    inputs = []
    for part in parts:
        assert isinstance(part.source, FileSource)
        shared = {"stage": stage_for(part, schema.names).to_json(), "shards": shards, "directory": str(work)}
        pieces = splits(part.source.files, session.sparkContext.defaultParallelism)
        inputs += [{**shared, "pieces": split} for split in pieces]
    found = run_tasks(session, collect_split, inputs)
    merges = []
    for shard in range(shards):
        files = [answer["files"][str(shard)] for answer in found if str(shard) in answer["files"]]
        path = directory / f"part-{shard:05d}.snappy.parquet"
        if files:
            merges.append({"files": files, "path": str(path)})
    run_tasks(session, merge_shard, merges)
    finish(directory, schema)


def collect_split(task: dict[str, Any]) -> dict[str, Any]:
    """The task that writes the distinct rows of a split, by shard."""
    stage = Stage.from_json(task["stage"])
    kept, pending = None, []
    for batch in staged(stage, task["pieces"]):
        pending.append(_normal(batch))
        if sum(b.num_rows for b in pending) >= _PENDING_ROWS:
            kept, pending = _distinct(kept, pending), []
    if pending:
        kept = _distinct(kept, pending)
    files = {}
    if kept is not None:
        for shard, rows in by_shard(kept, kept.column_names, task["shards"]):
            files[shard] = spill(Path(task["directory"]), shard, rows)
    return {"files": files}


def merge_shard(task: dict[str, Any]) -> dict[str, Any]:
    """The task that writes the distinct rows of a shard."""
    rows = _distinct(None, spilled(task["files"]).to_batches())
    ordered = rows.sort_by([(name, "ascending") for name in rows.column_names])
    written = write_batches(ordered.to_batches(), ordered.schema, Path(task["path"]))
    for file in task["files"]:
        Path(file).unlink(missing_ok=True)
    return {"rows": written}


def _normal(batch: Any) -> Any:
    """The batch with one zero and one NaN, as Spark compares them."""
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([normal(array) for array in batch.columns], schema=batch.schema)


def _distinct(kept: Any, batches: list[Any]) -> Any:
    import pyarrow as pa

    table = pa.Table.from_batches(batches)
    if kept is not None:
        table = pa.concat_tables([kept, table])
    names = table.column_names
    return table.group_by(names, use_threads=False).aggregate([]).select(names)
