"""Publishes what filters and rules need: item columns, what users had seen, the rules. Offline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.recall import ItemColumns, IvfIndex
from friesian_fast.release.manifest import RowSetEntry
from friesian_fast.release.open import COLUMNS_DIRECTORY, RULES_FILE
from friesian_fast.release.plan import ItemColumnsPlan, Seen
from friesian_fast.release.rules import Rules, rules_from_json
from friesian_fast.release.seen import PLACE, SEEN, seen_row_set
from friesian_fast.release.tables import RowTable, last_of_each, read_columns
from friesian_fast.spec import FeatureSpec, RowSet
from friesian_fast.store import MappedRowStore


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenItems:
    """Pairs of a user and an item, each once, users ascending.

    Parameters
    ----------
    users : ids, shape (m,)
        Those that have any.
    ends : ndarray of int64, shape (m,)
        Where each one's items end.
    items : ndarray of int64, shape (pairs,)
        Numbers of items in the order of their ids.
    """

    users: Any
    ends: NDArray[np.int64]
    items: NDArray[np.int64]

    def row_set(self, user: RowSet) -> RowSet:
        """Of these users."""
        return seen_row_set(user, int(np.diff(self.ends, prepend=0).max()))


def read_item_columns(plan: ItemColumnsPlan, row_set: RowSet, items: Any) -> dict[str, Any]:
    """The columns, in the order of `items`, which must all be there; of several rows with one id the last counts."""
    table = read_columns(plan.path, list(dict.fromkeys((row_set.id_column, *plan.names))))
    ids, last = last_of_each(plan.path, row_set.id_column, row_set.id_type, table[row_set.id_column])
    missing = np.setdiff1d(items, ids)
    if len(missing):
        raise InvalidInputError(
            f"{plan.path} lacks {len(missing)} items of the release, such as {missing[0].item()!r}; every item needs a "
            "row of columns, with nulls where a value is unknown"
        )
    rows = last[np.isin(ids, items)]
    return {name: table[name].take(pa.array(rows)) for name in plan.names}


def read_seen(log: Seen, spec: FeatureSpec, users: Any, items: Any) -> SeenItems:
    """Who had what, of the users and items of the release."""
    table = read_columns(log.path, list(dict.fromkeys((log.user, log.item))))
    pairs = {}
    for name, ids, row_set in ((log.user, users, "user"), (log.item, items, "item")):
        kind = pa.int64() if spec.row_set(row_set).id_type == "int64" else pa.string()
        try:
            values = table[name].combine_chunks().cast(kind)
        except pa.ArrowException as error:
            raise InvalidInputError(f"{log.path}: column '{name}' holds no {kind} {row_set} ids ({error})") from error
        pairs[row_set] = pc.index_in(values, pa.array(ids, kind)).fill_null(-1).to_numpy(zero_copy_only=False)
    known = (pairs["user"] >= 0) & (pairs["item"] >= 0)
    if not known.any():
        raise InvalidInputError(f"{log.path}: no row names a user and an item of the release")
    unique = np.unique(pairs["user"][known].astype(np.int64) * len(items) + pairs["item"][known])
    owner = unique // len(items)
    numbers, first = np.unique(owner, return_index=True)
    some = [users[i] for i in numbers.tolist()] if isinstance(users, list) else np.asarray(users)[numbers]
    return SeenItems(users=some, ends=np.append(first[1:], len(unique)).astype(np.int64), items=unique % len(items))


def read_rules(path: Path, spec: FeatureSpec) -> Rules:
    """The rules; what they name is checked when the index is there."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFoundError(f"there are no rules at {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}") from error
    try:
        rules = rules_from_json(text, spec.row_set("item").id_type)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error
    if rules.hide_seen and SEEN not in {row_set.name for row_set in spec.row_sets}:
        raise InvalidInputError(f"{path}: 'hide_seen' needs what users have seen; name it in the plan under 'seen'")
    return rules


def write_item_columns(columns: dict[str, Any], items: Any, index: IvfIndex, building: Path) -> ItemColumns:
    """The columns in the order of the index."""
    aligned = index.align(items, columns)
    aligned.save(building / COLUMNS_DIRECTORY)
    return aligned


def write_seen(
    seen: SeenItems, items: Any, index: IvfIndex, spec: FeatureSpec, building: Path
) -> dict[str, RowSetEntry]:
    """The row set of what users have seen, as places in the index."""
    places = index.positions(items)[seen.items].astype(np.int32) + 1
    lists = pa.LargeListArray.from_arrays(np.append(0, seen.ends).astype(np.int64), pa.array(places))
    rows = RowTable(seen.users, {PLACE: lists})
    file, tag = f"rows/{SEEN}.rows", spec.row_tag(SEEN)
    MappedRowStore.write(building / file, spec.row_set(SEEN), tag, rows.ids, rows.columns)
    return {SEEN: RowSetEntry(file=file, rows=len(rows.ids), tag=tag.hex())}


def write_rules(rules: Rules, path: Path, index: IvfIndex, building: Path) -> None:
    """The rules as they were given, once they fit the items."""
    try:
        rules.check(index)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error
    (building / RULES_FILE).write_bytes(path.read_bytes())
