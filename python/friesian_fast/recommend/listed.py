"""Recall from lists that were computed beforehand, with the index for whom and what they lack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.recall import CompiledFilter, IvfIndex
from friesian_fast.recall.columns import bits_at
from friesian_fast.recommend.stages import (
    Candidates,
    CandidateSource,
    Clock,
    Ids,
    IndexRecall,
    SearchRules,
    as_ids,
    first,
    joined,
    untimed,
    with_pins,
)
from friesian_fast.release.candidates import CandidateStore, Proposals, takes_score
from friesian_fast.release.manifest import MAX_CANDIDATES
from friesian_fast.release.open import Release
from friesian_fast.spec import CANDIDATE, FeatureSpec, IdType
from friesian_fast.store import RowStore


class ListedRecall:
    """Proposes what a nearline step computed for the user, with the values of each pair.

    A user without a list, and the rest of one that is too short, gets the nearest items of the index. Of those pairs
    nothing was computed: each of their values is 0.

    Parameters
    ----------
    lists : CandidateStore
    index : IvfIndex
    nearest : CandidateSource
        Over the same index, under the same rules.
    user_id_type : {"int64", "string"}
    clock : callable, optional
        Takes a timer's name and gives the context to run in.
    rules : SearchRules, optional
        What each user is not proposed, and the pinned items.
    """

    def __init__(
        self,
        lists: CandidateStore,
        index: IvfIndex,
        nearest: CandidateSource,
        user_id_type: IdType,
        clock: Clock = untimed,
        rules: SearchRules | None = None,
    ) -> None:
        self._lists = lists
        self._index = index
        self._nearest = nearest
        self._user_id_type = user_id_type
        self._clock = clock
        self._rules = rules

    def candidates(self, user_id: int | str, k: int) -> Candidates:
        """At most `k` items, best first, then the pinned ones that are not among them, with minus infinity."""
        if not 1 <= k <= MAX_CANDIDATES:
            raise InvalidInputError(f"k is {k}; it must be between 1 and {MAX_CANDIDATES}")
        with self._clock("indexing.listed"):
            user = as_ids([user_id], self._user_id_type)
            proposed = self._lists.of(user)
            if proposed is not None:
                allowed = None if self._rules is None else self._rules.filter_for(user)
                answer = self._allowed(proposed, allowed, k)
        if proposed is None:
            found = self._nearest.candidates(user_id, k)
            return replace(found, columns=self._lists.defaults(len(found.ids)))
        if len(answer.ids) < k:
            answer = _filled(answer, self._nearest.candidates(user_id, k), k)
        return answer if self._rules is None else with_pins(answer, self._rules.pins_for(allowed))

    def close(self) -> None:
        """Let go of the row stores, those of the nearest too."""
        self._lists.close()
        self._nearest.close()

    def _allowed(self, proposed: Proposals, allowed: CompiledFilter | None, k: int) -> Candidates:
        """The first `k` that the user may be shown."""
        places = np.flatnonzero(_may_be_shown(proposed.positions, allowed, len(self._index)))[:k]
        return Candidates(
            ids=self._index.ids_at(proposed.positions[places]),
            scores=proposed.scores[places],
            user_found=True,
            columns={name: values[places] for name, values in proposed.columns.items()},
        )


def _may_be_shown(positions: NDArray[np.uint32], allowed: CompiledFilter | None, items: int) -> NDArray[np.bool_]:
    if allowed is None:
        return positions < items
    free = bits_at(allowed.bitmap, positions)
    return free if allowed.hidden is None else free & ~np.isin(positions, allowed.hidden[0])


def _filled(answer: Candidates, nearest: Candidates, k: int) -> Candidates:
    """The answer, and behind it the nearest that it lacks; pins, which have no score, come later."""
    there = set(answer.ids if isinstance(answer.ids, list) else answer.ids.tolist())
    items = nearest.ids if isinstance(nearest.ids, list) else nearest.ids.tolist()
    scored = nearest.scores > -np.inf
    new = np.array([place for place, item in enumerate(items) if scored[place] and item not in there], np.int64)
    ids: Ids = [nearest.ids[place] for place in new] if isinstance(nearest.ids, list) else nearest.ids[new]
    return first(joined(answer, ids, nearest.scores[new]), k)


def open_recall(
    release: Release,
    index: IvfIndex,
    user_vectors: RowStore,
    clock: Clock = untimed,
    rules: SearchRules | None = None,
) -> CandidateSource:
    """The recall stage of a release: over its lists of candidates where it has them, else over its index alone."""
    lists = release.row_store(CANDIDATE) if CANDIDATE in release.manifest.row_sets else None
    return recall_over(release.spec, index, user_vectors, lists, clock, rules)


def recall_over(
    spec: FeatureSpec,
    index: IvfIndex,
    user_vectors: RowStore,
    lists: RowStore | None,
    clock: Clock = untimed,
    rules: SearchRules | None = None,
) -> CandidateSource:
    """The recall stage over parts that are open; `lists` holds the row set ``candidate``, if there is one."""
    nearest = IndexRecall(index, user_vectors, spec.row_set("item").id_type, clock, rules)
    if lists is None:
        return nearest
    store = CandidateStore(lists, score=takes_score(spec))
    return ListedRecall(store, index, nearest, spec.row_set("user").id_type, clock, rules)
