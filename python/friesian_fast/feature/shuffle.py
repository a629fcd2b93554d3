"""Rows brought together by their keys: tasks cut what they read into shards, and one task takes each shard."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from friesian_fast.feature.ops.lists import row_keys
from friesian_fast.feature.plan import FrameSource, Part, stage_for
from friesian_fast.feature.scan import FileSource, Piece, open_files, splits
from friesian_fast.feature.tasks import scratch


def in_files(part: Part) -> Part:
    """The part on Parquet files: itself, or for a Spark DataFrame its rows, which Spark writes to scratch."""
    source = part.source
    if not isinstance(source, FrameSource):
        return part
    directory = scratch("frame")
    columns = stage_for(part, part.schema().names).columns
    source.frame.select(*[f"`{name}`" for name in columns]).write.mode("overwrite").parquet(str(directory))
    return Part(open_files(directory), part.ops)


def rows_in(part: Part) -> int:
    """How many rows a part on files has."""
    assert isinstance(part.source, FileSource)
    return part.source.rows


def all_pieces(part: Part) -> list[Piece]:
    """All that a part on files has to be read, for one task."""
    assert isinstance(part.source, FileSource)
    return [piece for split in splits(part.source.files, 1) for piece in split]


def by_shard(table: Any, keys: Sequence[str], shards: int) -> list[tuple[int, Any]]:
    """The rows of a ``pyarrow.Table`` by shard, in their order; those with the same keys, of any type, are in the same.

    Which shard that is depends on the keys and on how many `shards` there are: up to 65,536.
    """
    import numpy as np
    import pyarrow as pa

    if shards == 1 or table.num_rows == 0:
        return [(0, table)]
    hashes = np.concatenate([row_keys(batch, keys, 0) for batch in table.to_batches()])
    of_row = (hashes % np.uint64(shards)).astype(np.uint16)
    order = np.argsort(of_row, kind="stable")
    sorted_rows = table.take(pa.array(order))
    ends = np.cumsum(np.bincount(of_row, minlength=shards)).tolist()
    parts = ((shard, begin, end - begin) for shard, (begin, end) in enumerate(pairwise([0, *ends])))
    return [(shard, sorted_rows.slice(begin, rows)) for shard, begin, rows in parts if rows]


def spill(directory: Path, shard: int, table: Any) -> str:
    """Write the rows of a shard as an Arrow file with a name of its own; returns its path."""
    import pyarrow as pa

    path = directory / f"{shard}-{uuid.uuid4().hex[:12]}.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return str(path)


def spilled(files: Sequence[str]) -> Any:
    """What was spilled to these files, mapped, as one ``pyarrow.Table``."""
    import pyarrow as pa

    tables = []
    for file in files:
        with pa.memory_map(file) as source:
            tables.append(pa.ipc.open_file(source).read_all())
    return pa.concat_tables(tables)
