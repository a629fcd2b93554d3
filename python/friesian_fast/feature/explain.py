"""A table method that tells what would run: sources, recorded operations, steps of Spark's."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from friesian_fast.feature.ops import Op, Shape
from friesian_fast.feature.plan import FrameSource, Part, stage_for
from friesian_fast.feature.scan import FileSource
from friesian_fast.feature.table import Table

# Steps for which Spark moves rows between its tasks.
_WIDE = {
    "difference_lag",
    "drop_duplicates",
    "filter_by_frequency",
    "group_by",
    "intersect",
    "join",
    "repartition",
    "sort",
    "subtract",
}
_MOST = 12  # names in a line, and entries of a parameter


class ExplainTable(Table):
    """The part of `FeatureTable` that tells what would run."""

    def explain(self) -> None:
        """Print the steps that make this table; runs nothing.

        First what is read, then the recorded operations in their order, and how they run: as tasks from file to file,
        which no row leaves for the JVM, or as one ``mapInArrow`` in a Spark plan. Spark's own plan of its steps is
        ``table.df.explain()``.
        """
        print(explained(self))


def explained(table: Table) -> str:
    """What `explain` prints.

    Parameters
    ----------
    table : Table
    """
    schema = table._arrow_schema
    fields = [f"{field.name} ({field.type})" for field in schema]
    lines = [f"{type(table).__name__} of {len(fields)} columns: {_some(fields)}"]
    steps = _parts(table._parts, None if table._distinct else schema.names)
    if table._distinct:
        steps.append(["Drops duplicate rows (wide: rows move between tasks)"])
    for number, (head, *details) in enumerate(steps, start=1):
        lines += ["", f"{number}. {head}", *(f"   {line}" for line in details)]
    in_files = all(isinstance(part.source, FileSource) for part in table._parts)
    written = "from file to file, no row passes through the JVM" if in_files else "by Spark"
    return "\n".join([*lines, "", f"write_parquet writes {written}."])


def _parts(parts: Sequence[Part], outputs: Sequence[str] | None) -> list[list[str]]:
    steps: list[list[str]] = []
    for number, part in enumerate(parts, start=1):
        made = _part(part, outputs or part.schema().names)
        if len(parts) > 1:
            made[0][0] += f" (table {number} of {len(parts)}, whose rows follow one another)"
        steps += made
    return steps


def _part(part: Part, outputs: Sequence[str]) -> list[list[str]]:
    stage = stage_for(part, outputs)
    unread = [name for name in part.source.schema.names if name not in stage.columns]
    steps = [*_source(part, stage.columns, unread)]
    if stage.ops:
        steps.append(_stage(part, stage.ops))
    return steps


def _source(part: Part, read: Sequence[str], unread: Sequence[str]) -> list[list[str]]:
    source = part.source
    columns = [f"reads: {_some(read)}", *([f"does not read: {_some(unread)}"] if unread else [])]
    if isinstance(source, FileSource) and source.origin is not None:
        step = f"{source.origin.step} (wide: rows move between tasks), {len(source.files)} scratch files"
        return [*_parts(source.origin.parts, None), [f"Tasks of ours: {step}", *columns]]
    if isinstance(source, FileSource):
        files = "1 Parquet file" if len(source.files) == 1 else f"{len(source.files)} Parquet files"
        where = os.path.commonpath(source.files)
        return [[f"Parquet: {files}, {source.rows:,} rows, {where}", *columns]]
    if source.origin is None:
        return [["A Spark DataFrame", *columns]]
    step = source.origin.step
    moved = " (wide: rows move between tasks)" if step in _WIDE else ""
    left = [f"drops before the next stage: {_some(unread)}"] if unread and part.ops else []
    return [*_parts(source.origin.parts, None), [f"Spark: {step}{moved}", *left]]


def _stage(part: Part, ops: Sequence[Op]) -> list[str]:
    if isinstance(part.source, FrameSource):
        how = "one mapInArrow over the columns that it reads"
    else:
        how = "in the tasks that read the files; one mapInArrow when asked for a DataFrame"
    kept = set(map(id, ops))
    left_out = [_named(op) for op in part.ops if id(op) not in kept and not isinstance(op, Shape)]
    return [
        f"Native stage: {how}",
        *(_told(op) for op in ops),
        *([f"left out, as no column needs it: {'; '.join(left_out)}"] if left_out else []),
    ]


def _named(op: Op) -> str:
    return f"{op.name} {', '.join(op.inputs or op.outputs)}"


def _told(op: Op) -> str:
    made = "" if op.outputs == op.inputs or not op.inputs else f" -> {', '.join(op.outputs)}"
    params = ", ".join(f"{name}={_short(value)}" for name, value in op.params.items())
    return f"- {_named(op)}{made}{f' ({params})' if params else ''}"


def _short(value: Any) -> str:
    if isinstance(value, (Mapping, list, tuple)) and len(value) > _MOST:
        return f"{len(value)} entries"
    return repr(value)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
