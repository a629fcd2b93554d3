"""All rows of a user together and in order: cut by user into shards on scratch files, then one task per shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from friesian_fast.feature.ops import Op
from friesian_fast.feature.ops.lists import row_keys
from friesian_fast.feature.plan import Part, Stage, stage_for, staged
from friesian_fast.feature.scan import FileSource, open_files, splits
from friesian_fast.feature.shuffle import by_shard, in_files, spill, spilled
from friesian_fast.feature.tasks import Task, run_tasks, scratch
from friesian_fast.feature.write import count_rows, finish

# Rows that one task holds and sorts in memory; of more shards than the most, each holds more rows.
_SHARD_ROWS = 1 << 19
_MOST_SHARDS = 256
_PENDING_ROWS = 1 << 19


@dataclass(frozen=True, slots=True)
class UserRows:
    """A shard's rows in the order by user, sort column and all other columns; `bounds` are where users start."""

    table: Any
    order: Any
    bounds: Any

    def take(self, positions: Any) -> Any:
        """The rows at these places of the order, as one ``pyarrow.RecordBatch``."""
        import pyarrow as pa

        rows = self.table.take(pa.array(self.order[positions])).combine_chunks()
        batches = rows.to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], rows.schema)


def by_user(
    session: Any, parts: Sequence[Part], user: str, task: Task, params: dict[str, Any], then: Sequence[Op], schema: Any
) -> Part:
    """Bring the users' rows together and run `task` on each shard; what the tasks write, with `then` on top, is a part.

    Parameters
    ----------
    session : pyspark.sql.SparkSession
    parts : sequence of Part
        Of one schema.
    user : str
    task : function
        Gets `params` and ``files``, the shard's, for `sorted_rows`; it writes the Parquet file ``path``.
    params : dict
        JSON values.
    then : sequence of Op
    schema : pyarrow.Schema
        Of what the tasks write.
    """
    work, written = scratch("users"), scratch("sequences")
    filed = [in_files(part) for part in parts]
    shards = min(_MOST_SHARDS, max(1, -(-count_rows(session, filed) // _SHARD_ROWS)))
    names = parts[0].schema().names
    inputs: list[dict[str, Any]] = []
    for part in filed:
        assert isinstance(part.source, FileSource)
        shared = {"stage": stage_for(part, names).to_json(), "user": user, "shards": shards, "directory": str(work)}
        pieces = splits(part.source.files, session.sparkContext.defaultParallelism)
        inputs += [{**shared, "pieces": split} for split in pieces]
    found = run_tasks(session, cut_split, inputs)
    tasks = []
    for shard in range(shards):
        files = [file for answer in found for file in answer["files"].get(str(shard), [])]
        if files:
            tasks.append({**params, "user": user, "files": files, "path": str(written / f"part-{shard:05d}.parquet")})
    run_tasks(session, task, tasks)
    finish(written, schema)
    return Part(open_files(written), tuple(then))


def cut_split(task: dict[str, Any]) -> dict[str, Any]:
    """The task that cuts a split into shards."""
    import pyarrow as pa

    files: dict[int, list[str]] = {}

    def flush(pending: list[Any]) -> None:
        for shard, rows in by_shard(pa.Table.from_batches(pending), [task["user"]], task["shards"]):
            if rows.num_rows:
                files.setdefault(shard, []).append(spill(Path(task["directory"]), shard, rows))
        pending.clear()

    pending: list[Any] = []
    for batch in staged(Stage.from_json(task["stage"]), task["pieces"]):
        pending.append(batch)
        if sum(one.num_rows for one in pending) >= _PENDING_ROWS:
            flush(pending)
    if pending:
        flush(pending)
    return {"files": files}


def sorted_rows(files: Sequence[str], user: str, first: Sequence[str]) -> UserRows:
    """A shard's rows by user, by the columns `first`, then by all others from left to right; nulls come first.

    Rows that are alike in all columns but lists and structs come in the order of their keys.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    table = spilled(files).combine_chunks()
    leading = [user, *first]
    others = [name for name in table.column_names if name not in leading]
    flat = [name for name in others if not pa.types.is_nested(table.schema.field(name).type)]
    nested = [name for name in others if name not in flat]
    keyed = _nulls_first(table, [*leading, *flat])
    if nested:
        keys = np.concatenate([row_keys(batch, nested, 0) for batch in table.to_batches()])
        keyed = keyed.append_column("__friesian_nested__", pa.array(keys))
    order = pc.sort_indices(keyed, sort_keys=[(name, "ascending") for name in keyed.column_names])
    users = table.column(user).take(order).combine_chunks()
    runs = pc.run_end_encode(users, run_end_type=pa.int64())
    return UserRows(table, order.to_numpy().astype(np.int64), np.concatenate([[0], runs.run_ends.to_numpy()]))


def _nulls_first(table: Any, names: Sequence[str]) -> Any:
    """The columns to sort by: before one with nulls, whether it has a value; NaN comes last, as in Spark."""
    import pyarrow as pa

    columns = {}
    for name in dict.fromkeys(names):
        if table.column(name).null_count:
            columns[f"__friesian_valid__{name}"] = table.column(name).is_valid()
        columns[name] = table.column(name)
    return pa.table(columns)


def remove(files: Sequence[str]) -> None:
    """Delete a shard's files, once what is made of them is written."""
    for file in files:
        Path(file).unlink(missing_ok=True)
