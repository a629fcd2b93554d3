"""Tables of old and new ids made into dictionaries, by a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops.lookup import write_dictionary
from friesian_fast.feature.plan import Part, Stage, stage_for, staged
from friesian_fast.feature.shuffle import all_pieces
from friesian_fast.feature.tasks import run_tasks, scratch


@dataclass(frozen=True, slots=True, kw_only=True)
class IdMap:
    """A dictionary's file, and the hash of what it says."""

    path: str
    sha256: str


def map_of_ids(session: Any, parts: Sequence[Part], columns: Sequence[str], name: str) -> IdMap:
    """A dictionary from the first of two columns to the second; `name` is the column it is for."""
    readings = [{"stage": stage_for(part, columns).to_json(), "pieces": all_pieces(part)} for part in parts]
    task = {"readings": readings, "name": name, "path": str(scratch("reindex") / "ids.arrow")}
    return IdMap(**run_tasks(session, map_ids, [task])[0])


def map_ids(task: dict[str, Any]) -> dict[str, Any]:
    """The task that makes the dictionary."""
    import pyarrow as pa
    import pyarrow.compute as pc

    tables = [pa.table({"old": pa.array([], pa.int64()), "new": pa.array([], pa.int32())})]
    for reading in task["readings"]:
        for batch in staged(Stage.from_json(reading["stage"]), reading["pieces"]):
            known = pa.Table.from_batches([batch]).drop_null().rename_columns(["old", "new"])
            tables.append(known.cast(tables[0].schema))
    pairs = pa.concat_tables(tables)
    counts = pc.value_counts(pairs["old"]).flatten()
    twice = counts[0].filter(pc.greater(counts[1], 1))
    if len(twice):
        raise InvalidInputError(f"index_tbls of column '{task['name']}' has the id {twice[0]} twice; drop one")
    path = Path(task["path"])
    return {"path": str(path), "sha256": write_dictionary(path, pairs)}
