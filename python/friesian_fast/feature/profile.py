"""A table method that looks at every column in one pass: nulls, distinct values, bounds, histograms."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from friesian_fast._files import replacing
from friesian_fast.feature.frames import FrameTable
from friesian_fast.feature.plan import FrameSource, Part, Stage, stage_for, staged
from friesian_fast.feature.scan import splits
from friesian_fast.feature.session import get_session
from friesian_fast.feature.sketch import ColumnSketch, Histogram
from friesian_fast.feature.tasks import guarded, opened, run_tasks, scratch

T = TypeVar("T", bound="ProfileTable")

_TOP_SHOWN = 10
_NUMBERS = ("rows", "nulls", "odd", "min", "max", "total", "lost")


class ProfileTable(FrameTable):
    """The part of `FeatureTable` that looks at its columns."""

    def profile(self: T, path: str | Path | None = None, columns: str | Sequence[str] | None = None) -> T:
        """What is in each column, found in one pass over the data.

        Parameters
        ----------
        path : str or Path, optional
            Also write it as one HTML page with plots, which opens without a network.
        columns : str or list of str, optional
            By default all.

        Returns
        -------
        FeatureTable
            A row for each column, in order: ``column``, ``type``, ``rows``, ``nulls``, ``null_rate``, ``odd`` (NaN and
            infinities), ``distinct`` and ``distinct_is_exact`` (up to 9,999 values are counted; more are an estimate
            within about 2 %), ``min``, ``max``, ``mean``, ``histogram`` (low, high, count) and ``top`` (the ten most
            frequent values with their counts, texts cut at 80 characters), ``top_is_exact`` (else the counts are lower
            bounds). Of a list column ``min`` to ``histogram`` are those of its lists' lengths.
        """
        import pyarrow as pa

        names = list(self.columns) if columns is None else self._existing(columns)
        sketches = sketch_columns(get_session(), self._plain_parts(), names)
        types = {name: str(self._type(name)) for name in names}
        if path is not None:
            from friesian_fast.feature.profile_page import profile_page

            with replacing(path) as partial_file:
                partial_file.write_text(profile_page(sketches, types), encoding="utf-8")
        rows = pa.Table.from_pylist([_row(name, types[name], one) for name, one in sketches.items()], _schema())
        return self._of(get_session().createDataFrame(rows).coalesce(1), "profile")


def sketch_columns(session: Any, parts: Sequence[Part], columns: Sequence[str]) -> dict[str, ColumnSketch]:
    """The figures of columns over all parts, each of which is read once.

    Parameters
    ----------
    session : pyspark.sql.SparkSession
    parts : sequence of Part
    columns : sequence of str
    """
    directory = scratch("profile")
    result = {name: ColumnSketch() for name in columns}
    inputs: list[dict[str, Any]] = []
    for part in parts:
        stage = stage_for(part, columns)
        task = {"stage": stage.to_json(), "columns": list(columns), "directory": str(directory)}
        if isinstance(part.source, FrameSource):
            frame = part.source.frame.select(*[f"`{name}`" for name in stage.columns])
            rows = frame.mapInArrow(partial(sketch_batches, json.dumps(task)), "answer string").collect()
            _add(result, (opened(row.answer) for row in rows))
        else:
            pieces = splits(part.source.files, session.sparkContext.defaultParallelism)
            inputs += [{**task, "pieces": split} for split in pieces]
    _add(result, run_tasks(session, sketch_files, inputs))
    return result


def sketch_files(task: dict[str, Any]) -> dict[str, Any]:
    """The task that looks at a split of files."""
    return _sketched(staged(Stage.from_json(task["stage"]), task["pieces"]), task)


def sketch_batches(text: str, batches: Iterable[Any]) -> Iterator[Any]:
    """The same on the batches of a partition of a DataFrame; yields one row with the answer."""
    import pyarrow as pa

    def look(task: dict[str, Any]) -> dict[str, Any]:
        stage = Stage.from_json(task["stage"])
        return _sketched((made for batch in batches for made in stage.stream(batch)), task)

    yield pa.record_batch({"answer": pa.array([guarded(look, text)], pa.string())})


def _sketched(batches: Iterable[Any], task: Mapping[str, Any]) -> dict[str, Any]:
    sketches = {name: ColumnSketch() for name in task["columns"]}
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        for name, one in sketches.items():
            one.add(batch.column(name))
    return {"rows": rows, "columns": [_spilled(one, Path(task["directory"])) for one in sketches.values()]}


def _spilled(one: ColumnSketch, directory: Path) -> dict[str, Any]:
    """The sketch as JSON; its hashes and values as Arrow files beside."""
    import pyarrow as pa

    one.settle()
    tables = {"values": one.values, "least": None if one.least is None else pa.table({"hash": one.least})}
    files = {}
    for name, table in tables.items():
        if table is not None:
            files[name] = str(directory / f"{name}-{uuid.uuid4().hex[:12]}.arrow")
            with pa.OSFile(files[name], "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
    histogram = {"low": one.histogram.low, "high": one.histogram.high, "exponent": one.histogram.exponent}
    counts = list(one.histogram.counts.items())
    return {**{name: getattr(one, name) for name in _NUMBERS}, "histogram": histogram, "counts": counts, "files": files}


def _add(result: dict[str, ColumnSketch], answers: Iterable[dict[str, Any]]) -> None:
    """Merge what the tasks found, one after the other, and remove their files."""
    from friesian_fast.feature.shuffle import spilled

    for answer in answers:
        for one, found in zip(result.values(), answer["columns"], strict=True):
            tables = {name: spilled([file]) for name, file in found["files"].items()}
            more = ColumnSketch(**{name: found[name] for name in _NUMBERS}, values=tables.get("values"))
            more.histogram = Histogram(**found["histogram"], counts=dict(found["counts"]))
            if "least" in tables:
                more.least = tables["least"]["hash"].to_numpy()
            one.merge(more)
            for file in found["files"].values():
                Path(file).unlink(missing_ok=True)


def _row(name: str, kind: str, one: ColumnSketch) -> dict[str, Any]:
    distinct, exact = one.distinct or (None, None)
    return {
        "column": name,
        "type": kind,
        "rows": one.rows,
        "nulls": one.nulls,
        "null_rate": one.nulls / one.rows if one.rows else None,
        "odd": one.odd,
        "distinct": distinct,
        "distinct_is_exact": exact,
        "min": one.min,
        "max": one.max,
        "mean": one.mean,
        "histogram": [{"low": low, "high": high, "count": count} for low, high, count in one.histogram.bins()],
        "top": [{"value": value, "count": count} for value, count in one.top(_TOP_SHOWN)],
        "top_is_exact": None if one.distinct is None else one.lost == 0,
    }


def _schema() -> Any:
    import pyarrow as pa

    counts, numbers = dict.fromkeys(("rows", "nulls"), pa.int64()), dict.fromkeys(("min", "max", "mean"), pa.float64())
    bins = pa.list_(pa.struct({"low": pa.float64(), "high": pa.float64(), "count": pa.int64()}))
    top = pa.list_(pa.struct({"value": pa.string(), "count": pa.int64()}))
    fields = {"column": pa.string(), "type": pa.string(), **counts, "null_rate": pa.float64(), "odd": pa.int64()}
    fields |= {"distinct": pa.int64(), "distinct_is_exact": pa.bool_(), **numbers}
    return pa.schema(list({**fields, "histogram": bins, "top": top, "top_is_exact": pa.bool_()}.items()))
