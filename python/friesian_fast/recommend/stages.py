"""The recall stage, and what every stage shares: ids and clocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.recall import CompiledFilter, Filter, IvfIndex
from friesian_fast.release.manifest import MAX_CANDIDATES
from friesian_fast.spec import IdType
from friesian_fast.store import RowStore

Ids: TypeAlias = "NDArray[np.int64] | list[str]"
Clock: TypeAlias = Callable[[str], AbstractContextManager[Any]]

VECTOR_COLUMN = "embedding"
_NOTHING = nullcontext()


def untimed(name: str) -> AbstractContextManager[Any]:
    """The clock of those who do not measure."""
    return _NOTHING


def as_ids(values: Sequence[int | str], id_type: IdType) -> Ids:
    """Ids as stores and indexes take them.

    Raises
    ------
    InvalidInputError
        If a value is not of that type.
    """
    wanted = int if id_type == "int64" else str
    for value in values:
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise InvalidInputError(f"id {value!r} is not of type {id_type}, which the ids of this release have")
    if id_type == "string":
        return list(values)  # type: ignore[arg-type]
    try:
        return np.array(values, np.int64)
    except OverflowError as error:
        raise InvalidInputError(f"an id of {list(values)} does not fit into 64 bits") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The items that recall proposes, best first.

    Parameters
    ----------
    ids : array of int64, shape (n,), or list of str
    scores : array of float32, shape (n,)
    user_found : bool
        False if the user has no vector; there are no candidates then.
    columns : mapping of name to array of float32, shape (n,)
        What is known of each pair, where the release has lists of candidates.
    """

    ids: Ids
    scores: NDArray[np.float32]
    user_found: bool
    columns: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


class CandidateSource(Protocol):
    """Proposes items for a user."""

    def candidates(self, user_id: int | str, k: int, asked: Filter | None = None) -> Candidates:
        """At most `k` items that the request's filter lets through, best first."""
        ...

    def close(self) -> None:
        """Let go of row stores."""
        ...


class SearchRules(Protocol):
    """The part of a release's rules that belongs into the search."""

    def filter_for(self, user: Ids, asked: Filter | None = None) -> CompiledFilter | None:
        """What the search of one user may answer, by the rules and by the request; None for everything."""
        ...

    def pins_for(self, user_filter: CompiledFilter | None) -> list[int | str]:
        """The pinned items that this user may be shown."""
        ...


class IndexRecall:
    """Searches the item index with the user's vector.

    Parameters
    ----------
    index : IvfIndex
    user_vectors : RowStore
        Of the row set ``user_vector``.
    item_id_type : {"int64", "string"}
    rules : SearchRules
        What each user's search leaves out, and the pinned items.
    clock : callable, optional
        Takes a timer's name and gives the context to run in.
    """

    def __init__(
        self,
        index: IvfIndex,
        user_vectors: RowStore,
        item_id_type: IdType,
        rules: SearchRules,
        clock: Clock = untimed,
    ) -> None:
        self._index = index
        self._rules = rules
        self._vectors = user_vectors
        self._item_id_type = item_id_type
        self._clock = clock

    def candidates(self, user_id: int | str, k: int, asked: Filter | None = None) -> Candidates:
        """At most `k` items, best first, then the pinned ones that are not among them, with minus infinity."""
        check_count(k)
        user = as_ids([user_id], self._vectors.row_set.id_type)
        with self._clock("indexing.overall"):
            allowed = self._rules.filter_for(user, asked)
            found = self._search(user, k, allowed)
        return with_pins(found, self._rules.pins_for(allowed)) if found.user_found else found

    def nearest(self, user: Ids, k: int, allowed: CompiledFilter | None) -> Candidates:
        """At most `k` of the items that are allowed, best first, without pins."""
        with self._clock("indexing.overall"):
            return self._search(user, k, allowed)

    def _search(self, user: Ids, k: int, allowed: CompiledFilter | None) -> Candidates:
        with self._clock("indexing.feature"):
            rows = self._vectors.decode(user)
        if not rows.found[0]:
            return Candidates(ids=as_ids([], self._item_id_type), scores=np.empty(0, np.float32), user_found=False)
        with self._clock("indexing.decode"):
            query = np.ascontiguousarray(rows.columns[VECTOR_COLUMN], np.float32)
        with self._clock("indexing.faiss"):
            ids, scores = self._index.search(query, k, filter=allowed)
        # A search that finds fewer than k items pads with minus infinity.
        count = k if scores[0, -1] > -np.inf else int(np.count_nonzero(scores[0] > -np.inf))
        found = ids[0][:count]
        kept: Ids = list(found) if self._item_id_type == "string" else np.ascontiguousarray(found, np.int64)
        return Candidates(ids=kept, scores=np.ascontiguousarray(scores[0][:count]), user_found=True)

    def close(self) -> None:
        """Let go of the row store."""
        self._vectors.close()


def check_count(k: int) -> None:
    """Whether so many candidates can be proposed.

    Raises
    ------
    InvalidInputError
    """
    if not 1 <= k <= MAX_CANDIDATES:
        raise InvalidInputError(f"k is {k}; it must be between 1 and {MAX_CANDIDATES}")


def with_pins(found: Candidates, pins: Sequence[int | str]) -> Candidates:
    """The candidates, and behind them the pinned items they lack; of such a pair nothing is known, so 0."""
    if not pins:
        return found
    there = set(found.ids if isinstance(found.ids, list) else found.ids.tolist())
    lacking = [pin for pin in pins if pin not in there]
    if not lacking:
        return found
    room = max(MAX_CANDIDATES - len(lacking), 0)  # no stage takes more
    more: Ids = [str(pin) for pin in lacking] if isinstance(found.ids, list) else np.array(lacking, np.int64)
    return joined(first(found, room), more, np.full(len(lacking), -np.inf, np.float32))


def first(found: Candidates, count: int) -> Candidates:
    """The best `count`."""
    columns = {name: values[:count] for name, values in found.columns.items()}
    return replace(found, ids=found.ids[:count], scores=found.scores[:count], columns=columns)


def joined(found: Candidates, ids: Ids, scores: NDArray[np.float32]) -> Candidates:
    """The candidates, and behind them others of which no column is known: 0."""
    unknown = np.zeros(len(ids), np.float32)
    return Candidates(
        ids=[*found.ids, *ids] if isinstance(found.ids, list) else np.append(found.ids, ids),
        scores=np.append(found.scores, scores),
        user_found=True,
        columns={name: np.append(values, unknown) for name, values in found.columns.items()},
    )
