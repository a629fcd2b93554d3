"""All rows of a user together and in order: one task reads them; of many rows, tasks cut them by user into shards on
scratch files, and one task reads each of those."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from friesian_fast.feature.ops import Function, Op
from friesian_fast.feature.ops.lists import row_keys
from friesian_fast.feature.plan import Part, Stage, stage_for, staged
from friesian_fast.feature.scan import FileSource, open_files, size_of, splits
from friesian_fast.feature.shuffle import by_shard, in_files, spill, spilled
from friesian_fast.feature.tasks import Task, run_tasks, scratch
from friesian_fast.feature.write import count_rows, finish

# What one task holds and sorts in memory; of more shards than the most, each holds more.
_SHARD_ROWS = 1 << 20
_SHARD_BYTES = 128 << 20
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
        Gets `params` and what `sorted_rows` needs; it writes the Parquet file ``path``.
    params : dict
        JSON values.
    then : sequence of Op
    schema : pyarrow.Schema
        Of what the tasks write.
    """
    written = scratch("sequences")
    filed = [in_files(part) for part in parts]
    names = parts[0].schema().names
    count = min(_MOST_SHARDS, _shards(session, filed))
    if count <= 1 and _are_quick(filed):
        shards = [{"reads": _reads(filed, names, 1)}] if count else []
    else:
        shards = _cut(session, filed, names, user, count)
    given = ({**params, **shard, "user": user} for shard in shards)
    run_tasks(session, task, [{**one, "path": str(written / f"part-{i:05d}.parquet")} for i, one in enumerate(given)])
    finish(written, schema)
    return Part(open_files(written), tuple(then))


def _shards(session: Any, parts: Sequence[Part]) -> int:
    """How many shards the rows fill; none if there are no rows."""
    rows = count_rows(session, parts)
    size = sum(size_of(part.source) for part in parts if isinstance(part.source, FileSource))
    return max(-(-rows // _SHARD_ROWS), -(-size // _SHARD_BYTES) if rows else 0)


def _are_quick(parts: Sequence[Part]) -> bool:
    """Whether one task may well do all that is recorded: there are few rows to begin with, and no Python function."""
    sources = (part.source for part in parts)
    rows = sum(source.rows for source in sources if isinstance(source, FileSource))
    return rows <= _SHARD_ROWS and not any(isinstance(op, Function) for part in parts for op in part.ops)


def _reads(parts: Sequence[Part], names: Sequence[str], at_least: int) -> list[dict[str, Any]]:
    """Stages and what they read, which is at least so many pieces of each part."""
    reads = []
    for part in parts:
        assert isinstance(part.source, FileSource)
        stage = stage_for(part, names).to_json()
        reads += [{"stage": stage, "pieces": split} for split in splits(part.source.files, at_least)]
    return reads


def _cut(session: Any, parts: Sequence[Part], names: Sequence[str], user: str, shards: int) -> list[dict[str, Any]]:
    """The shards' files, of those that have any."""
    shared = {"user": user, "shards": shards, "directory": str(scratch("users"))}
    reads = _reads(parts, names, session.sparkContext.defaultParallelism)
    found = run_tasks(session, cut_split, [{**shared, **read} for read in reads])
    files = ([file for answer in found for file in answer["files"].get(str(shard), [])] for shard in range(shards))
    return [{"files": of_shard} for of_shard in files if of_shard]


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
    for batch in _batches(task):
        pending.append(batch)
        if sum(one.num_rows for one in pending) >= _PENDING_ROWS:
            flush(pending)
    if pending:
        flush(pending)
    return {"files": files}


def sorted_rows(task: dict[str, Any], first: Sequence[str]) -> UserRows:
    """A shard's rows by user, by the columns `first`, then by all others from left to right; nulls come first.

    Rows that are alike in all columns but lists and structs come in the order of their keys.

    Parameters
    ----------
    task : dict
        With ``user``, and what `by_user` gave: ``files``, or ``reads``.
    first : sequence of str
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    user = task["user"]
    table = (spilled(task["files"]) if "files" in task else _read(task["reads"])).combine_chunks()
    leading = [user, *first]
    others = [name for name in table.column_names if name not in leading]
    flat = [name for name in others if not pa.types.is_nested(table.schema.field(name).type)]
    nested = [name for name in others if name not in flat]
    keyed = _nulls_first(table, [*leading, *flat])
    if nested:
        keys = np.concatenate([row_keys(batch, nested, 0) for batch in table.to_batches()])
        keyed = keyed.append_column("__friesian_nested__", pa.array(keys))
    order = _order(keyed)
    users = table.column(user).take(pa.array(order)).combine_chunks()
    runs = pc.run_end_encode(users, run_end_type=pa.int64())
    return UserRows(table, order, np.concatenate([[0], runs.run_ends.to_numpy()]))


def _read(reads: Sequence[dict[str, Any]]) -> Any:
    import pyarrow as pa

    return pa.Table.from_batches([batch for read in reads for batch in _batches(read)])


def _batches(read: dict[str, Any]) -> Iterator[Any]:
    """What a stage makes of its pieces, any column nullable: of two parts' schemas only one may say so."""
    import pyarrow as pa

    for batch in staged(Stage.from_json(read["stage"]), read["pieces"]):
        yield pa.RecordBatch.from_arrays(batch.columns, names=batch.schema.names)


def _order(keyed: Any) -> Any:
    """The order of the rows by all columns, as positions (int64).

    Sorting single numbers is several times faster, so as many columns as fit are packed into one; only if that leaves
    rows alike are all columns compared.
    """
    import numpy as np
    import pyarrow.compute as pc

    packed, columns = _packed(keyed)
    if columns > 1 or columns == keyed.num_columns:
        order = np.argsort(packed)
        if columns == keyed.num_columns or (np.diff(packed[order]) != 0).all():
            return order.astype(np.int64, copy=False)
    by = [(name, "ascending") for name in keyed.column_names]
    return pc.sort_indices(keyed, sort_keys=by).to_numpy().astype(np.int64)


def _packed(keyed: Any) -> tuple[Any, int]:
    """Numbers (uint64) that order the rows as the first columns do, and how many of them those are."""
    import numpy as np

    packed, used, bits = np.zeros(keyed.num_rows, np.uint64), 0, 0
    for column in keyed.columns if keyed.num_rows else ():
        values = _whole(column.combine_chunks())
        if values is None:
            break
        low, high = int(values.min()), int(values.max())
        bits += (high - low).bit_length()
        if bits > 64:
            break
        packed <<= np.uint64((high - low).bit_length() % 64)
        packed |= values.astype(np.uint64) - np.uint64(low % 2**64)  # modulo 2**64, so negative ones come out right
        used += 1
    return packed, used


def _whole(array: Any) -> Any:
    """Whole numbers that are in the order of the values, as a NumPy array; any for nulls; None for other types."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(array.type):
        coded = array.dictionary_encode()
        ranks = np.empty(len(coded.dictionary), np.int32)
        ranks[pc.sort_indices(coded.dictionary).to_numpy()] = np.arange(len(ranks), dtype=np.int32)
        array = pa.array(ranks).take(coded.indices)
    elif pa.types.is_timestamp(array.type):
        array = array.cast(pa.int64())
    elif pa.types.is_date32(array.type):
        array = array.cast(pa.int32())
    if not (pa.types.is_integer(array.type) or pa.types.is_boolean(array.type)):
        return None
    return pc.fill_null(array, pa.scalar(0, pa.int8()).cast(array.type)).to_numpy(zero_copy_only=False)


def _nulls_first(table: Any, names: Sequence[str]) -> Any:
    """The columns to sort by: before one with nulls, whether it has a value; NaN comes last, as in Spark."""
    import pyarrow as pa

    columns = {}
    for name in dict.fromkeys(names):
        if table.column(name).null_count:
            columns[f"__friesian_valid__{name}"] = table.column(name).is_valid()
        columns[name] = table.column(name)
    return pa.table(columns)


def remove(task: dict[str, Any]) -> None:
    """Delete a shard's files, once what is made of them is written."""
    for file in task.get("files", ()):
        Path(file).unlink(missing_ok=True)
