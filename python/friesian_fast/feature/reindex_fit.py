"""Tables of old and new ids made into maps, by a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.map_file import MapFile, write_map
from friesian_fast.feature.plan import Part, Stage, stage_for, staged
from friesian_fast.feature.shuffle import all_pieces
from friesian_fast.feature.tasks import run_tasks, scratch


def map_of_ids(session: Any, parts: Sequence[Part], columns: Sequence[str], name: str) -> MapFile:
    """A map from the first of two columns to the second; `name` is the column it is for."""
    readings = [{"stage": stage_for(part, columns).to_json(), "pieces": all_pieces(part)} for part in parts]
    task = {"readings": readings, "name": name, "path": str(scratch("reindex") / "ids.map")}
    return MapFile(**run_tasks(session, map_ids, [task])[0])


def map_ids(task: dict[str, Any]) -> dict[str, Any]:
    """The task that makes the map."""
    import numpy as np
    import pyarrow as pa

    old, new = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    for reading in task["readings"]:
        for batch in staged(Stage.from_json(reading["stage"]), reading["pieces"]):
            known = pa.Table.from_batches([batch]).drop_null()
            old.append(known[0].cast(pa.int64()).to_numpy())
            new.append(known[1].cast(pa.int32()).to_numpy())
    ids, values = np.concatenate(old), np.concatenate(new)
    order = np.argsort(ids, kind="stable")
    ids, values = ids[order], values[order]
    twice = ids[1:][ids[1:] == ids[:-1]]
    if len(twice):
        raise InvalidInputError(f"index_tbls of column '{task['name']}' has the id {twice[0]} twice; drop one")
    batch = pa.RecordBatch.from_arrays([pa.array(ids), pa.array(values)], names=["old", "new"])
    return asdict(write_map(Path(task["path"]), batch))
