"""Statistics and vocabularies of many columns, gathered in one pass over the data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from friesian_fast.feature.groups import GroupCounter, GroupCounts, GroupRequest
from friesian_fast.feature.ops.cast import cast_array
from friesian_fast.feature.ops.elements import list_matrix, require_one_length
from friesian_fast.feature.ops.lists import is_list
from friesian_fast.feature.plan import Part, Stage, stage_for, staged
from friesian_fast.feature.scan import FileSource, splits
from friesian_fast.feature.tasks import guarded, opened, run_tasks, scratch
from friesian_fast.feature.vocabulary_file import VocabularyFile, merge_run_files, write_run
from friesian_fast.vocab import VocabularyBuilder


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyRequest:
    """One vocabulary over the values of `columns` in all `parts`; with a separator, over their tokens."""

    parts: tuple[Part, ...]
    columns: tuple[str, ...]
    separator: str | None = None
    freq_limit: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsRequest:
    """`ColumnStats` of each of the columns over all parts together."""

    parts: tuple[Part, ...]
    columns: tuple[str, ...]


@dataclass(slots=True)
class ColumnStats:
    """Counts of one column, and the bounds of its values if they are numbers (NaN left out).

    Of a column of lists, which must all be of one length then, `min_list` and `max_list` are the bounds at each place,
    None where there is no value.
    """

    rows: int = 0
    nulls: int = 0
    min: float | None = None
    max: float | None = None
    min_list: list[float | None] | None = None
    max_list: list[float | None] | None = None

    def add(self, other: ColumnStats, name: str = "") -> None:
        """Count the rows of another part of the column `name` in."""
        self.rows += other.rows
        self.nulls += other.nulls
        self.min, self.max = _first(min, self.min, other.min), _first(max, self.max, other.max)
        self.min_list = _each_place(min, self.min_list, other.min_list, name)
        self.max_list = _each_place(max, self.max_list, other.max_list, name)


Request = VocabularyRequest | StatsRequest | GroupRequest


@dataclass(slots=True)
class _Pass:
    """What is wanted of one part: vocabularies by the number of their request, and statistics.

    A request that has a part twice, as of a table joined to itself, is in two passes of it: `requests` has its number.
    """

    part: Part
    requests: set[int] = field(default_factory=set)
    vocabularies: dict[int, VocabularyRequest] = field(default_factory=dict)
    stats: list[str] = field(default_factory=list)
    groups: dict[int, GroupRequest] = field(default_factory=dict)

    def to_json(self, directory: Path) -> dict[str, Any]:
        columns = [*self.stats, *(name for request in self.vocabularies.values() for name in request.columns)]
        columns += [name for request in self.groups.values() for name in request.columns]
        counted = [
            {"request": number, "columns": list(request.columns), "separator": request.separator}
            for number, request in self.vocabularies.items()
        ]
        return {
            "stage": stage_for(self.part, list(dict.fromkeys(columns))).to_json(),
            "vocabularies": counted,
            "stats": self.stats,
            "groups": {str(number): request.to_json() for number, request in self.groups.items()},
            "directory": str(directory),
        }


def gather(session: Any, requests: Sequence[Request]) -> list[Any]:
    """Answer all requests with one reading of each part, and one task per vocabulary to merge what was counted.

    Parameters
    ----------
    session : pyspark.sql.SparkSession
    requests : sequence of VocabularyRequest, StatsRequest or GroupRequest

    Returns
    -------
    list of VocabularyFile, dict of str to ColumnStats, or GroupCounts
        In the order of the requests.
    """
    directory = scratch("fit")
    passes = _passes(requests)
    answers: list[tuple[_Pass, list[dict[str, Any]]]] = []
    inputs = [_inputs(session, one, directory) for one in passes if isinstance(one.part.source, FileSource)]
    from_files = iter(run_tasks(session, count_files, [task for tasks in inputs for task in tasks]))
    sizes = iter(len(tasks) for tasks in inputs)
    for one in passes:
        if isinstance(one.part.source, FileSource):
            answers.append((one, [next(from_files) for _ in range(next(sizes))]))
        else:
            answers.append((one, _count_frame(one, directory)))
    merges = [
        {
            "parts": [answer["counted"][str(number)] for _, part in answers for answer in part if _has(answer, number)],
            "freq_limit": request.freq_limit,
            "path": str(directory / f"{number}.arrow"),
        }
        for number, request in enumerate(requests)
        if isinstance(request, VocabularyRequest)
    ]
    merged = iter(run_tasks(session, merge, merges))
    counted = [(one, answer) for one, parts in answers for answer in parts]
    return [
        VocabularyFile(**next(merged)) if isinstance(request, VocabularyRequest) else _answer(number, request, counted)
        for number, request in enumerate(requests)
    ]


def count_files(task: dict[str, Any]) -> dict[str, Any]:
    """The task that counts a split of files."""
    stage = Stage.from_json(task["stage"])
    return _count(staged(stage, task["pieces"]), task)


def count_batches(text: str, batches: Iterable[Any]) -> Iterator[Any]:
    """The same on the batches of a partition of a DataFrame; yields one row with the answer."""
    import pyarrow as pa

    def count(task: dict[str, Any]) -> dict[str, Any]:
        stage = Stage.from_json(task["stage"])
        return _count((made for batch in batches for made in stage.stream(batch)), task)

    yield pa.record_batch({"answer": pa.array([guarded(count, text)], pa.string())})


def merge(task: dict[str, Any]) -> dict[str, Any]:
    """The task that makes one vocabulary of what all others counted."""
    made = merge_run_files(task["parts"], task["freq_limit"], Path(task["path"]))
    for part in task["parts"]:
        Path(part).unlink(missing_ok=True)
    return {"path": made.path, "size": made.size, "sha256": made.sha256}


def _passes(requests: Sequence[Request]) -> list[_Pass]:
    passes: list[_Pass] = []
    for number, request in enumerate(requests):
        for part in request.parts:
            one = next((known for known in passes if known.part == part and number not in known.requests), None)
            if one is None:
                one = _Pass(part)
                passes.append(one)
            one.requests.add(number)
            if isinstance(request, VocabularyRequest):
                one.vocabularies[number] = request
            elif isinstance(request, GroupRequest):
                one.groups[number] = request
            else:
                one.stats += [name for name in request.columns if name not in one.stats]
    return passes


def _inputs(session: Any, one: _Pass, directory: Path) -> list[dict[str, Any]]:
    assert isinstance(one.part.source, FileSource)
    shared = one.to_json(directory)
    pieces = splits(one.part.source.files, session.sparkContext.defaultParallelism)
    return [{**shared, "pieces": split} for split in pieces]


def _count_frame(one: _Pass, directory: Path) -> list[dict[str, Any]]:
    task = one.to_json(directory)
    frame = one.part.source.frame.select(*[f"`{name}`" for name in task["stage"]["columns"]])  # type: ignore[union-attr]
    rows = frame.mapInArrow(partial(count_batches, json.dumps(task)), "answer string").collect()
    return [opened(row.answer) for row in rows]


def _count(batches: Iterable[Any], task: dict[str, Any]) -> dict[str, Any]:
    directory = Path(task["directory"])
    builders = {one["request"]: VocabularyBuilder(one["separator"]) for one in task["vocabularies"]}
    stats = {name: ColumnStats() for name in task["stats"]}
    groups = {number: GroupCounter(one) for number, one in task["groups"].items()}
    for batch in batches:
        for one in task["vocabularies"]:
            for name in one["columns"]:
                builders[one["request"]].add(cast_array(batch.column(name), "string"))
        for name, counted in stats.items():
            counted.add(_batch_stats(batch.column(name), name), name)
        for counter in groups.values():
            counter.add(batch)
    return {
        "counted": {number: _write(builders.pop(number), number, directory) for number in list(builders)},
        "stats": {name: astuple(one) for name, one in stats.items()},
        "groups": {number: counter.finish(directory) for number, counter in groups.items()},
    }


def _write(builder: VocabularyBuilder, number: int, directory: Path) -> str:
    import uuid

    path = directory / f"{number}-{uuid.uuid4().hex[:12]}.counts"
    write_run(path, *builder.run())
    return str(path)


def _batch_stats(array: Any, name: str) -> ColumnStats:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    stats = ColumnStats(len(array), array.null_count)
    if is_list(array.type) and stats.rows > stats.nulls:
        values, valid = list_matrix(array, name, None)
        known = ~np.isnan(values) if valid is None else valid & ~np.isnan(values)
        lows, highs = np.where(known, values, np.inf).min(axis=0), np.where(known, values, -np.inf).max(axis=0)
        any_known = known.any(axis=0)
        stats.min_list = [float(low) if there else None for low, there in zip(lows, any_known, strict=True)]
        stats.max_list = [float(high) if there else None for high, there in zip(highs, any_known, strict=True)]
    if pa.types.is_floating(array.type):
        array = array.filter(pc.invert(pc.is_nan(array)))
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        bounds = pc.min_max(array).as_py()
        stats.min, stats.max = bounds["min"], bounds["max"]
    return stats


def _first(which: Callable[..., Any], one: float | None, other: float | None) -> Any:
    return which((bound for bound in (one, other) if bound is not None), default=None)


def _each_place(which: Callable[..., Any], one: Any, other: Any, name: str) -> Any:
    if one is None or other is None:
        return other if one is None else one
    require_one_length(name, {len(one), len(other)}, len(one))
    return [_first(which, *pair) for pair in zip(one, other, strict=True)]


def _has(answer: dict[str, Any], number: int) -> bool:
    return str(number) in answer["counted"]


def _answer(number: int, request: StatsRequest | GroupRequest, counted: Sequence[tuple[_Pass, dict[str, Any]]]) -> Any:
    mine = [answer for one, answer in counted if number in one.requests]
    if isinstance(request, GroupRequest):
        return GroupCounts.of(request.to_json(), [answer["groups"][str(number)] for answer in mine])
    result = {name: ColumnStats() for name in request.columns}
    for answer in mine:
        for name, total in result.items():
            total.add(ColumnStats(*answer["stats"][name]), name)
    return result
