"""The statistics of a target encoding: from counted groups to codes, shard by shard, and to maps for the look-up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.groups import SHARDS, GroupCounts, GroupRequest, Summed, read_shards, summed
from friesian_fast.feature.map_file import MapFile, read_batches, write_batch_file, write_map
from friesian_fast.feature.ops.keys import key_texts
from friesian_fast.feature.plan import Part, Stage, stage_for, staged
from friesian_fast.feature.scan import open_files
from friesian_fast.feature.shuffle import all_pieces
from friesian_fast.feature.tasks import run_tasks, scratch
from friesian_fast.feature.write import finish, write_batches

COUNT = "target_encode_count"

# The categories that one task takes at a time, and those that every task may keep in memory for the look-up.
_TASK_GROUPS = 500_000
MAP_ROWS = 5_000_000

# With so many rows for each fold, one that has none by chance is as good as impossible.
_ROWS_PER_FOLD = 16
_TOLD = ("categories", "large", "crowded")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRequest:
    """The codes of one category (of one or more columns) for some targets: ``(sum + mean * smooth) / (rows + smooth)``.

    `means` are those of the targets over all rows; a group's code for a fold leaves that fold's rows out.
    """

    group: GroupRequest
    counts: GroupCounts
    outputs: tuple[str, ...]
    means: tuple[float, ...]
    smooth: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """Files of codes: ``part-*.parquet`` of a category's columns, its codes and how many rows it has.

    `map` is what the look-up by category, or by category and fold, needs; or, if there are too many categories for a
    map, `fold_codes` are files of codes by category and fold. `crowded` tells that most categories with many rows are
    not in all folds.
    """

    codes: tuple[Part, ...]
    map: MapFile | None = None
    fold_codes: Part | None = None
    crowded: bool = False


def make_codes(session: Any, requests: Sequence[CodeRequest], types: Sequence[Any]) -> list[Codes]:
    """Codes of counted groups.

    Parameters
    ----------
    session : pyspark.sql.SparkSession
    requests : sequence of CodeRequest
    types : sequence of pyarrow.Schema
        Of the category's columns of each request.
    """
    places = [scratch("codes") for _ in requests]
    tasks = [_code_tasks(one, place, "map") for one, place in zip(requests, places, strict=True)]
    made = _by_request(tasks, run_tasks(session, code_shards, [task for one in tasks for task in one]))
    parts = []
    for one, place, kinds in zip(requests, places, types, strict=True):
        finish(place, _code_schema(one, kinds))
        parts.append(Part(open_files(place)))
    told = [{name: sum(answer[name] for answer in answers) for name in _TOLD} for answers in made]
    small = [one["categories"] <= MAP_ROWS for one in told]
    merges = [
        {
            "files": [answer["map"] for answer in answers if answer["map"]],
            "outputs": len(one.outputs),
            "path": str(place / "codes.map"),
        }
        for one, answers, place, fits in zip(requests, made, places, small, strict=True)
        if fits
    ]
    maps = iter(run_tasks(session, merge_maps, merges))
    codes = []
    for one, part, kinds, fits, counted in zip(requests, parts, types, small, told, strict=True):
        by_fold = None if fits or not one.group.fold else _by_fold(session, one, kinds)
        crowded = 2 * counted["crowded"] > counted["large"]
        codes.append(
            Codes(codes=(part,), map=MapFile(**next(maps)) if fits else None, fold_codes=by_fold, crowded=crowded)
        )
    return codes


def map_of(
    session: Any, parts: Sequence[Part], columns: Sequence[str], outputs: Sequence[str], means: Sequence[float]
) -> MapFile:
    """A map from the category in `columns` of a table of codes to its `outputs`; `means` stand in for nulls."""
    readings = [
        {"stage": stage_for(part, [*columns, *outputs]).to_json(), "pieces": all_pieces(part)} for part in parts
    ]
    path = str(scratch("codes") / "codes.map")
    task = {"readings": readings, "columns": list(columns), "means": list(means), "path": path}
    return MapFile(**run_tasks(session, map_codes, [task])[0])


def code_shards(task: dict[str, Any]) -> dict[str, Any]:
    """The task that makes the codes of some shards: one file of codes, and one that is a part of the map."""
    directory, first = Path(task["directory"]), task["shards"][0]
    told = dict.fromkeys(_TOLD, 0)
    maps: list[Any] = []

    def codes() -> Iterator[Any]:
        for groups in read_shards(task["files"], task["shards"]):
            made = _Coded(groups, task)
            for name, count in made.told().items():
                told[name] += count
            if task["form"] == "folds":
                yield from made.by_fold().to_batches()
            else:
                maps.append(made.map())
                yield from made.codes.to_batches()

    write_batches(codes(), None, directory / f"part-{first:05d}.snappy.parquet")
    path = None
    if maps:
        path = str(directory / f"{first:05d}.shards")
        write_batch_file(Path(path), maps)
    return {**told, "map": path}


def merge_maps(task: dict[str, Any]) -> dict[str, Any]:
    """The task that makes one map of those of the shards."""
    batches = [batch for file in task["files"] for batch in read_batches(file)] or [_empty_map(task["outputs"])]
    made = asdict(write_map(Path(task["path"]), _sorted_by_key(batches)))
    for file in task["files"]:
        Path(file).unlink(missing_ok=True)
    return made


def map_codes(task: dict[str, Any]) -> dict[str, Any]:
    """The task that makes a map of a table of codes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names, batches = task["columns"], [_empty_map(len(task["means"]))]
    for batch in (batch for one in task["readings"] for batch in staged(Stage.from_json(one["stage"]), one["pieces"])):
        keys = key_texts(batch.columns[: len(names)], names)
        filled = [
            pc.fill_null(array.cast(pa.float64()), mean)
            for array, mean in zip(batch.columns[len(names) :], task["means"], strict=True)
        ]
        rows = pa.RecordBatch.from_arrays([keys, *map(_single, filled)], names=["key", *map(str, range(len(filled)))])
        batches.append(rows.filter(pc.is_valid(keys)))
    made = _sorted_by_key(batches)
    keys = made.column("key")
    twice = keys[1:].filter(pc.equal(keys[1:], keys[:-1])) if len(keys) > 1 else []
    if len(twice):
        raise InvalidInputError(f"the TargetCode of {', '.join(names)} has {twice[0].as_py()!r} twice; drop one")
    return asdict(write_map(Path(task["path"]), made))


class _Coded:
    """The codes of one shard's groups; categories in the order of their keys."""

    def __init__(self, groups: Any, task: dict[str, Any]) -> None:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        self._task, self._groups = task, groups
        self._sums = [Summed(**{**one, "weights": tuple(one["weights"])}) for one in task["sums"]]
        cats = summed(groups, without=["fold"]) if "fold" in groups.column_names else groups
        keys = self._keys_of(cats)
        order = pc.sort_indices(keys)
        self._cats, self._keys = cats.take(order).combine_chunks(), keys.take(order)
        self._rows = self._cats["rows"].to_numpy()
        self._all = [self._whole(self._cats, j) for j in range(len(self._sums))]
        values = [self._code(j, self._all[j], self._rows) for j in range(len(self._sums))]
        columns = [self._cats[f"k{i}"] for i in range(len(task["keys"]))]
        names = [*task["keys"], *task["outputs"], COUNT]
        self.codes = pa.Table.from_arrays([*columns, *map(pa.array, values), self._cats["rows"]], names=names)
        self._values = [np.asarray(one) for one in values]

    def told(self) -> dict[str, int]:
        """How many categories there are; how many have rows enough for every fold; how many of these lack one."""
        import numpy as np

        told = {"categories": len(self._rows), "large": 0, "crowded": 0}
        if self._task["fold"]:
            folds = len(self._task["folds"])
            large = self._rows >= _ROWS_PER_FOLD * folds
            seen = np.bincount(self._fold_codes[0], minlength=len(self._rows))
            told |= {"large": int(large.sum()), "crowded": int((large & (seen < folds)).sum())}
        return told

    def map(self) -> Any:
        """Keys, and for each output its code, or if there are folds its code for each of them."""
        import numpy as np
        import pyarrow as pa

        matrices = [values[:, None] for values in self._values]
        folds = self._task["folds"]
        if folds:
            row, place, coded = self._fold_codes
            matrices = [np.repeat(one, len(folds), axis=1) for one in matrices]
            known = place >= 0
            for matrix, one in zip(matrices, coded, strict=True):
                matrix[row[known], place[known]] = one[known]
        lists = [pa.FixedSizeListArray.from_arrays(pa.array(one.ravel()), one.shape[1]) for one in matrices]
        return pa.RecordBatch.from_arrays([self._keys, *lists], names=["key", *map(str, range(len(lists)))])

    def by_fold(self) -> Any:
        """The columns of the category, the fold, and the codes for it."""
        import pyarrow as pa

        coded = self._fold_codes[2]
        columns = [self._groups[f"k{i}"] for i in range(len(self._task["keys"]))]
        names = [*self._task["keys"], self._task["fold"], *self._task["outputs"]]
        return pa.Table.from_arrays([*columns, self._groups["fold"], *map(pa.array, coded)], names=names)

    @cached_property
    def _fold_codes(self) -> tuple[Any, Any, list[Any]]:
        """Of each group: the row of its category, the place of its fold, and its codes."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        row = np.asarray(pc.index_in(self._keys_of(self._groups), value_set=self._keys))
        folds = pa.array(self._task["folds"], pa.int64())
        place = np.asarray(pc.fill_null(pc.index_in(self._groups["fold"].combine_chunks(), value_set=folds), -1))
        rest = self._rows[row] - self._groups["rows"].to_numpy()
        coded = []
        for j in range(len(self._sums)):
            own = self._whole(self._groups, j)
            coded.append(self._code(j, [a[row] - b for a, b in zip(self._all[j], own, strict=True)], rest))
        return row, place, coded

    def _keys_of(self, table: Any) -> Any:
        columns = [table[f"k{i}"].combine_chunks() for i in range(len(self._task["keys"]))]
        return key_texts(columns, self._task["keys"])

    def _whole(self, table: Any, j: int) -> list[Any]:
        return [table[f"s{j}_{i}"].to_numpy() for i in range(len(self._sums[j].weights))]

    def _code(self, j: int, whole: list[Any], rows: Any) -> Any:
        import numpy as np

        mean, smooth = self._task["means"][j], self._task["smooth"]
        total = self._sums[j].number(whole)
        return np.where(rows > 0, (total + mean * smooth) / np.maximum(rows + smooth, 1e-300), mean)


def _code_tasks(one: CodeRequest, directory: Path, form: str) -> list[dict[str, Any]]:
    count = min(SHARDS, max(1, -(-one.counts.groups // _TASK_GROUPS)))
    shared = {
        **one.group.to_json(),
        "files": list(one.counts.files),
        "folds": list(one.counts.folds),
        "outputs": list(one.outputs),
        "means": list(one.means),
        "smooth": one.smooth,
        "directory": str(directory),
        "form": form,
    }
    bounds = [i * SHARDS // count for i in range(count + 1)]
    return [{**shared, "shards": list(range(begin, end))} for begin, end in pairwise(bounds)]


def _by_fold(session: Any, one: CodeRequest, types: Any) -> Part:
    import pyarrow as pa

    directory = scratch("codes")
    run_tasks(session, code_shards, _code_tasks(one, directory, "folds"))
    schema = _code_schema(one, types)
    fold = pa.field(one.group.fold, pa.int64())
    finish(directory, schema.remove(len(schema) - 1).insert(len(types), fold))
    return Part(open_files(directory))


def _code_schema(one: CodeRequest, types: Any) -> Any:
    import pyarrow as pa

    codes = [pa.field(name, pa.float64()) for name in one.outputs]
    return pa.schema([*types, *codes, pa.field(COUNT, pa.int64())])


def _by_request(tasks: Sequence[Sequence[Any]], answers: Sequence[Any]) -> list[list[Any]]:
    left = iter(answers)
    return [[next(left) for _ in one] for one in tasks]


def _sorted_by_key(batches: Sequence[Any]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = pa.Table.from_batches(batches)
    ordered = rows.take(pc.sort_indices(rows["key"])).combine_chunks()
    return ordered.to_batches()[0] if len(ordered) else batches[0]


def _empty_map(outputs: int) -> Any:
    import pyarrow as pa

    lists = [pa.array([], pa.list_(pa.float64(), 1))] * outputs
    return pa.RecordBatch.from_arrays([pa.array([], pa.string()), *lists], names=["key", *map(str, range(outputs))])


def _single(array: Any) -> Any:
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(array, 1)
