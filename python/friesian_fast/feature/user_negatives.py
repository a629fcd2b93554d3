"""Negatives that none of a user's rows has: one task per shard draws them, an operation makes rows of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops import UnfoldNegatives
from friesian_fast.feature.ops.lists import Lists, list_array, row_keys, runs
from friesian_fast.feature.ops.negatives import draw
from friesian_fast.feature.ops.unfold import DRAWN
from friesian_fast.feature.plan import Part
from friesian_fast.feature.user_rows import UserRows, by_user, remove, sorted_rows
from friesian_fast.feature.write import write_batches

_BATCH_VALUES = 1 << 20


def with_user_negatives(
    session: Any,
    parts: Sequence[Part],
    user: str,
    item: str,
    label: str,
    *,
    item_size: int,
    neg_num: int,
    seed: int,
) -> Part:
    """The rows of these parts and their negatives, by user; see ``FeatureTable.add_negative_samples``."""
    schema = parts[0].schema()
    params = {"item": item, "item_size": item_size, "neg_num": neg_num, "seed": seed}
    unfold = UnfoldNegatives(item, label)
    return by_user(session, parts, user, write_drawn, params, [unfold], _drawn_schema(schema, item))


def write_drawn(task: dict[str, Any]) -> dict[str, Any]:
    """The task that writes a shard's rows and what was drawn for each."""
    rows = sorted_rows(task, [])
    schema = _drawn_schema(rows.table.schema, task["item"])
    written = write_batches(_drawn(rows, task), schema, Path(task["path"]), scratch=True)
    remove(task)
    return {"rows": written}


def _drawn_schema(schema: Any, item: str) -> Any:
    import pyarrow as pa

    return schema.append(pa.field(DRAWN, pa.list_(schema.field(item).type)))


def _drawn(rows: UserRows, task: dict[str, Any]) -> Iterator[Any]:
    import numpy as np
    import pyarrow as pa

    sizes = np.diff(rows.bounds)
    user_of = np.repeat(np.arange(len(sizes)), sizes)
    everyone = np.arange(len(user_of))
    items = rows.table.column(task["item"]).take(pa.array(rows.order)).combine_chunks()
    sets = Lists(rows.bounds[:-1], sizes, items)
    for begin, end in runs(np.full(len(everyone), task["neg_num"] + 1), _BATCH_VALUES):
        batch = rows.take(everyone[begin:end])
        keys = row_keys(batch, batch.schema.names, task["seed"])
        counts = np.full(len(keys), task["neg_num"], np.int64)
        try:
            drawn = draw(keys, counts, sets, user_of[begin:end], task["item_size"])
        except InvalidInputError as error:
            raise InvalidInputError(f"columns '{task['user']}' and '{task['item']}': {error}") from error
        yield batch.append_column(DRAWN, list_array(counts, drawn))
