"""Histories on files: one task per shard sorts users' rows and writes them as blocks, which an operation unfolds.

A block is a stretch of one user's rows as lists, complete in itself. What it makes is many times larger, and is made
only where it is used, in bounded pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from friesian_fast import _core
from friesian_fast.feature.ops import UnfoldHistory
from friesian_fast.feature.ops.lists import list_array, runs
from friesian_fast.feature.ops.unfold import CONTEXT
from friesian_fast.feature.plan import Part
from friesian_fast.feature.user_rows import UserRows, by_user, remove, sorted_rows
from friesian_fast.feature.write import write_batches

# The fewest rows with a history in a full block; the rows before them that it needs are repeated.
_BLOCK_ROWS = 512
# Of a larger block, the most values of a history: all of a block's rows are made at once.
_BLOCK_VALUES = 1 << 24
_BATCH_ROWS = 1 << 17


def with_histories(
    session: Any,
    parts: Sequence[Part],
    columns: Sequence[str],
    user: str,
    sort_col: str,
    *,
    min_len: int,
    max_len: int,
    num_seqs: int,
) -> Part:
    """The rows of these parts with the histories of `columns`, by user; see ``FeatureTable.add_hist_seq``."""
    schema = parts[0].schema()
    others = [name for name in schema.names if name != user]
    params = {
        "sort": sort_col,
        "min_len": min_len,
        "max_len": max_len,
        "num_seqs": num_seqs,
        "block_rows": max(_BLOCK_ROWS, min(4 * max_len, _BLOCK_VALUES // max_len)),
    }
    unfold = UnfoldHistory(user, tuple(others), tuple(columns), max_len)
    return by_user(session, parts, user, write_blocks, params, [unfold], _block_schema(schema, user))


def write_blocks(task: dict[str, Any]) -> dict[str, Any]:
    """The task that writes a shard's rows as blocks."""
    rows = sorted_rows(task, [task["sort"]])
    bounds = _core.history_blocks(rows.bounds, task["min_len"], task["max_len"], task["num_seqs"], task["block_rows"])
    schema = _block_schema(rows.table.schema, task["user"])
    written = write_batches(_blocks(rows, task["user"], schema, *bounds), schema, Path(task["path"]), scratch=True)
    remove(task)
    return {"rows": written}


def _block_schema(schema: Any, user: str) -> Any:
    import pyarrow as pa

    lists = [pa.field(field.name, pa.list_(field.type)) for field in schema if field.name != user]
    return pa.schema([pa.field(user, schema.field(user).type), pa.field(CONTEXT, pa.int32()), *lists])


def _blocks(rows: UserRows, user: str, schema: Any, begin: Any, first: Any, end: Any) -> Iterator[Any]:
    import numpy as np
    import pyarrow as pa

    sizes = end - begin
    for one, last in runs(sizes, _BATCH_ROWS):
        size = sizes[one:last]
        start = np.cumsum(size) - size
        positions = np.arange(int(size.sum())) + np.repeat(begin[one:last] - start, size)
        batch = rows.take(positions)
        arrays = [batch.column(user).take(pa.array(start)), pa.array((first - begin)[one:last], pa.int32())]
        arrays += [list_array(size, batch.column(name)) for name in schema.names[2:]]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
