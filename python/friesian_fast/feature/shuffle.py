"""Rows brought together by their keys: tasks cut what they read into shards, and one task takes each shard."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from friesian_fast.feature.ops.hashing import CrossHash
from friesian_fast.feature.plan import FrameSource, Part, stage_for
from friesian_fast.feature.scan import FileSource, Piece, open_files, splits
from friesian_fast.feature.tasks import scratch

_SHARD = "__shard__"


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
    """The rows of a ``pyarrow.Table`` by shard; rows with the same keys are in the same one, however they are cut."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if shards == 1:
        return [(0, table)]
    batch = table.combine_chunks().to_batches()[0]
    marked = pa.Table.from_batches([CrossHash(tuple(keys), _SHARD, shards, separator="\x1f").apply(batch)])
    parts = ((shard, marked.filter(pc.equal(marked[_SHARD], shard)).drop_columns([_SHARD])) for shard in range(shards))
    return [(shard, rows) for shard, rows in parts if rows.num_rows]


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
