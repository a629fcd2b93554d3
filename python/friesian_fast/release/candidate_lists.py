"""Publishes what a nearline step proposes: checked, ordered lists of each user, as places in the index. Offline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.recall import IvfIndex
from friesian_fast.release.candidates import SCORE, candidate_columns, candidate_row_set
from friesian_fast.release.manifest import RowSetEntry
from friesian_fast.release.plan import CandidatesPlan, PublishPlan
from friesian_fast.release.tables import plain, read_columns
from friesian_fast.spec import CANDIDATE, PLACE, FeatureSpec, RowSet
from friesian_fast.store import MappedRowStore

DEFAULT_LONGEST = 1000  # where the spec declares no lists, since the ranker takes nothing of them


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateLists:
    """Candidates, users ascending, each one's best first.

    Parameters
    ----------
    users : ids, shape (m,)
        Those that have any.
    ends : ndarray of int64, shape (m,)
        Where each one's candidates end.
    items : ndarray of int64, shape (pairs,)
        Numbers of items in the order of their ids.
    values : mapping of name to ndarray of float32, shape (pairs,)
        The score and the columns of the spec.
    """

    users: Any
    ends: NDArray[np.int64]
    items: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float32]]


def candidates_of_spec(plan: PublishPlan, spec: FeatureSpec) -> RowSet | None:
    """The row set of the candidates, as the spec declares it; None if the plan names none.

    Raises
    ------
    InvalidInputError
        If the spec declares other columns than such a row set has, or the plan lacks what the spec declares.
    """
    declared = [row_set for row_set in spec.row_sets if row_set.name == CANDIDATE]
    if plan.candidates is None:
        if declared:
            raise InvalidInputError(
                f"spec '{spec.name}' has the row set '{CANDIDATE}'; name its file in the plan under 'candidates'"
            )
        return None
    user = spec.row_set("user")
    if not declared:
        return candidate_row_set(user, (), DEFAULT_LONGEST)
    return candidate_row_set(user, candidate_columns(declared[0]), declared[0].columns[0].length)


def read_candidates(plan: PublishPlan, row_set: RowSet, spec: FeatureSpec, users: Any, items: Any) -> CandidateLists:
    """The pairs of the plan's file, grouped and ordered.

    Raises
    ------
    InvalidInputError
        If a user or item is not of the release, a pair is there twice, a list is too long or a value is not finite.
    """
    log = plan.candidates
    assert log is not None, "the plan names candidates"
    names = candidate_columns(row_set)
    table = read_columns(log.path, list(dict.fromkeys((log.user, log.item, log.score, *names))))
    user = _numbers(log.path, log.user, table, spec.row_set("user"), users)
    item = _numbers(log.path, log.item, table, spec.row_set("item"), items)
    values = {SCORE: _floats(log.path, log.score, table)} | {name: _floats(log.path, name, table) for name in names}
    order = np.lexsort((item, -values[SCORE], user))
    user, item = user[order], item[order]
    _check_pairs(log, user, item, users, items, row_set)
    numbers, begins = np.unique(user, return_index=True)
    return CandidateLists(
        users=[users[i] for i in numbers] if isinstance(users, list) else np.asarray(users)[numbers],
        ends=np.append(begins[1:], len(user)).astype(np.int64),
        items=item,
        values={name: column[order] for name, column in values.items()},
    )


def write_candidates(
    lists: CandidateLists, items: Any, index: IvfIndex, spec: FeatureSpec, building: Path
) -> dict[str, RowSetEntry]:
    """The row set of the candidates, as places in the index."""
    offsets = np.append(0, lists.ends).astype(np.int64)
    places = index.positions(items)[lists.items].astype(np.int32) + 1
    columns = {PLACE: pa.LargeListArray.from_arrays(offsets, pa.array(places))}
    columns |= {name: pa.LargeListArray.from_arrays(offsets, pa.array(v)) for name, v in lists.values.items()}
    file, tag = f"rows/{CANDIDATE}.rows", spec.row_tag(CANDIDATE)
    MappedRowStore.write(building / file, spec.row_set(CANDIDATE), tag, lists.users, columns)
    return {CANDIDATE: RowSetEntry(file=file, rows=len(lists.users), tag=tag.hex())}


def _numbers(path: Path, name: str, table: Any, row_set: RowSet, ids: Any) -> NDArray[np.int64]:
    """Which of the release's ids each row has."""
    kind = pa.int64() if row_set.id_type == "int64" else pa.string()
    try:
        values = table[name].combine_chunks().cast(kind)
    except pa.ArrowException as error:
        raise InvalidInputError(f"{path}: column '{name}' holds no {kind} {row_set.name} ids ({error})") from error
    numbers = pc.index_in(values, pa.array(ids, kind)).fill_null(-1).to_numpy(zero_copy_only=False)
    if (unknown := np.flatnonzero(numbers < 0)).size:
        raise InvalidInputError(
            f"{path}: {len(unknown)} rows name a {row_set.name} without features, such as "
            f"{values[int(unknown[0])].as_py()!r} in row {unknown[0]}; make all inputs from the same run"
        )
    return np.asarray(numbers, np.int64)


def _floats(path: Path, name: str, table: Any) -> NDArray[np.float32]:
    column = table[name]
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise InvalidInputError(f"{path}: column '{name}' has type {column.type}; candidates have numbers")
    values = column.cast(pa.float32(), safe=False).to_numpy()  # a null becomes NaN
    if (bad := np.flatnonzero(~np.isfinite(values))).size:
        raise InvalidInputError(
            f"{path}: column '{name}' holds {values[bad[0]]} in row {bad[0]} ({len(bad)} such rows); every candidate "
            "needs a finite number"
        )
    return np.asarray(values, np.float32)


def _check_pairs(
    log: CandidatesPlan, user: NDArray[np.int64], item: NDArray[np.int64], users: Any, items: Any, row_set: RowSet
) -> None:
    pairs, times = np.unique(user * len(items) + item, return_counts=True)
    if times.max() > 1:
        owner, thing = divmod(int(pairs[np.argmax(times)]), len(items))
        raise InvalidInputError(f"{log.path}: user {plain(users[owner])!r} has item {plain(items[thing])!r} twice")
    lengths = np.bincount(user)
    most = row_set.columns[0].length
    if lengths.max() > most:
        raise InvalidInputError(
            f"{log.path}: user {plain(users[int(np.argmax(lengths))])!r} has {lengths.max()} candidates; row set "
            f"'{CANDIDATE}' has room for {most}"
        )
