"""Sums of columns by category and fold: exact, so that they do not depend on how the rows are cut."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from friesian_fast.feature.ops.base import numeric
from friesian_fast.feature.ops.keys import key_texts, normal
from friesian_fast.feature.plan import Part
from friesian_fast.hashing import xxh3_bucket

# Each task cuts its groups into so many shards, so that those of all tasks can come together one shard at a time.
SHARDS = 32
_PENDING_ROWS = 1 << 18
_KEPT_ROWS = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Summed:
    """A column to sum, and as which whole numbers, whose sums are exact and fit int64.

    The number is the sum over i of ``whole[i] * 2**weights[i]``: an integer of up to 32 bits is one whole number, one
    of 64 bits two halves; a float is cut into two of `bits` bits, below the largest number of the column.
    """

    column: str
    weights: tuple[int, ...]
    bits: int = 0

    @classmethod
    def of(cls, column: str, kind: Any, rows: int, largest: float) -> Summed:
        """For a column of that Arrow type, of so many rows, none beyond `largest` (which only floats need)."""
        import pyarrow as pa

        if pa.types.is_integer(kind):
            return cls(column=column, weights=(0,) if kind.bit_width <= 32 else (32, 0))
        top = math.frexp(largest)[1]
        bits = min(52, 62 - rows.bit_length())
        return cls(column=column, weights=(top - bits, top - 2 * bits), bits=bits)

    def whole(self, array: Any) -> list[Any]:
        """The whole numbers of each value, as int64 arrays; 0 for null and NaN."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.bits:
            values = pc.fill_null(array.cast(pa.float64(), safe=False), 0.0).to_numpy(zero_copy_only=False)
            scaled = np.ldexp(np.nan_to_num(values, nan=0.0), -self.weights[0])
            high = np.rint(scaled)
            return [high.astype(np.int64), np.rint(np.ldexp(scaled - high, self.bits)).astype(np.int64)]
        values = pc.fill_null(array.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
        return [values] if len(self.weights) == 1 else [values >> 32, values & 0xFFFFFFFF]

    def number(self, whole: Sequence[Any]) -> Any:
        """The sums, float64, of the sums of their whole numbers."""
        import numpy as np

        return sum(
            np.ldexp(np.asarray(one, np.float64), weight) for one, weight in zip(whole, self.weights, strict=True)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRequest:
    """Rows and sums by the values of `keys` and, if there is one, of `fold`; rows with a null key are left out."""

    parts: tuple[Part, ...]
    keys: tuple[str, ...]
    sums: tuple[Summed, ...]
    fold: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """What must be read."""
        return (*self.keys, *([self.fold] if self.fold else []), *(one.column for one in self.sums))

    def to_json(self) -> dict[str, Any]:
        """As sent to the tasks."""
        return {"keys": list(self.keys), "fold": self.fold, "sums": [asdict(one) for one in self.sums]}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCounts:
    """What all tasks counted: their files of groups by shard, the folds seen, and of each column its sum and count."""

    files: tuple[str, ...]
    groups: int
    folds: tuple[int, ...]
    sums: tuple[tuple[int, ...], ...]
    known: tuple[int, ...]

    @classmethod
    def of(cls, request: dict[str, Any], answers: Sequence[dict[str, Any]]) -> GroupCounts:
        """Of what `GroupCounter.finish` told, for a request as JSON."""
        answers = [GroupCounter(request).told(), *answers]
        sums = zip(*(answer["sums"] for answer in answers), strict=True)
        return cls(
            files=tuple(answer["file"] for answer in answers if answer["file"]),
            groups=sum(answer["groups"] for answer in answers),
            folds=tuple(sorted({fold for answer in answers for fold in answer["folds"]})),
            sums=tuple(tuple(map(sum, zip(*column, strict=True))) for column in sums),
            known=tuple(map(sum, zip(*(answer["known"] for answer in answers), strict=True))),
        )


class GroupCounter:
    """Counts batches as a `GroupRequest` wants it.

    Parameters
    ----------
    task : dict
        Of `GroupRequest.to_json`.
    """

    def __init__(self, task: dict[str, Any]) -> None:
        self._keys, self._fold = list(task["keys"]), task["fold"]
        self._sums = [Summed(**{**one, "weights": tuple(one["weights"])}) for one in task["sums"]]
        self._totals = [[0] * len(one.weights) for one in self._sums]
        self._known = [0] * len(self._sums)
        self._pending: list[Any] = []
        self._kept: list[Any] = []
        self._most = _KEPT_ROWS

    def add(self, batch: Any) -> None:
        """Count the rows of a batch."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        columns = {f"k{i}": normal(batch.column(name)) for i, name in enumerate(self._keys)}
        if self._fold:
            columns["fold"] = batch.column(self._fold).cast(pa.int64())
        for j, one in enumerate(self._sums):
            array = numeric(batch.column(one.column), one.column)
            for i, whole in enumerate(one.whole(array)):
                columns[f"s{j}_{i}"] = pa.array(whole)
                self._totals[j][i] += int(whole.sum())
            self._known[j] += _known(array)
        columns["rows"] = pa.array(np.ones(batch.num_rows, np.int64))
        rows = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        for i in range(len(self._keys)):
            if rows.column(f"k{i}").null_count:
                rows = rows.filter(pc.is_valid(rows.column(f"k{i}")))
        self._pending.append(rows)
        if sum(one.num_rows for one in self._pending) >= _PENDING_ROWS:
            self._sum_pending()

    def told(self) -> dict[str, Any]:
        """The answer so far, without groups."""
        return {"file": None, "groups": 0, "folds": [], "sums": self._totals, "known": self._known}

    def finish(self, directory: Path) -> dict[str, Any]:
        """Write the groups as an Arrow file of one batch per shard; says where, how many, and the sums over all."""
        self._sum_pending()
        groups = self._sum_kept()
        answer = self.told()
        if groups is not None and groups.num_rows:
            path = directory / f"{uuid.uuid4().hex[:12]}.groups"
            _write_shards(groups, self._keys, path)
            folds = groups["fold"].unique().to_pylist() if self._fold else []
            answer |= {"file": str(path), "groups": groups.num_rows, "folds": [f for f in folds if f is not None]}
        return answer

    def _sum_pending(self) -> None:
        import pyarrow as pa

        if self._pending:
            self._kept.append(summed(pa.Table.from_batches(self._pending)))
            self._pending = []
        if sum(one.num_rows for one in self._kept) > self._most:
            self._most = max(_KEPT_ROWS, 2 * self._sum_kept().num_rows)

    def _sum_kept(self) -> Any:
        import pyarrow as pa

        if len(self._kept) > 1:
            self._kept = [summed(pa.concat_tables(self._kept))]
        return self._kept[0] if self._kept else None


def summed(table: Any, without: Sequence[str] = ()) -> Any:
    """The sums of a table of groups by its keys and fold, or by fewer of them."""
    names = [name for name in table.column_names if name not in without]
    keys = [name for name in names if name == "fold" or name.startswith("k")]
    sums = [name for name in names if name not in keys]
    grouped = table.group_by(keys, use_threads=False).aggregate([(name, "sum") for name in sums])
    return grouped.select(keys + [f"{name}_sum" for name in sums]).rename_columns(keys + sums)


def read_shards(files: Sequence[str], shards: Sequence[int]) -> Iterator[Any]:
    """The groups of each of these shards, by all tasks together, as a ``pyarrow.Table``; those without are left out."""
    import pyarrow as pa

    found: dict[int, list[Any]] = {shard: [] for shard in shards}
    for file in files:
        with pa.memory_map(file) as source:
            reader = pa.ipc.open_file(source)
            for shard in shards:
                found[shard].append(reader.get_batch(shard))
    for batches in found.values():
        filled = [batch for batch in batches if batch.num_rows]
        if filled:
            table = pa.Table.from_batches(filled)
            yield table if len(filled) == 1 else summed(table)


def _known(array: Any) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    nan = (pc.sum(pc.is_nan(array)).as_py() or 0) if pa.types.is_floating(array.type) else 0
    return int(len(array) - array.null_count - nan)


def _write_shards(table: Any, keys: Sequence[str], path: Path) -> None:
    import numpy as np
    import pyarrow as pa

    whole = table.combine_chunks()
    columns = [whole[f"k{i}"].combine_chunks() for i in range(len(keys))]
    shard = xxh3_bucket(key_texts(columns, keys), SHARDS)
    ordered = whole.take(pa.array(np.argsort(shard, kind="stable"))).combine_chunks()
    ends = np.cumsum(np.bincount(shard, minlength=SHARDS))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, whole.schema) as writer:
        for begin, end in zip([0, *ends[:-1]], ends, strict=True):
            rows = ordered.slice(begin, end - begin).combine_chunks()
            writer.write_batch(rows.to_batches()[0] if rows.num_rows else pa.RecordBatch.from_pylist([], whole.schema))
