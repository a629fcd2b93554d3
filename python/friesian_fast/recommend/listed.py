"""Recall from lists that were computed beforehand, with the index for whom and what they lack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from friesian_fast.recall import CompiledFilter, Filter, IvfIndex
from friesian_fast.recommend.rules import RulesStage
from friesian_fast.recommend.stages import (
    Candidates,
    CandidateSource,
    Clock,
    Ids,
    IndexRecall,
    SearchRules,
    as_ids,
    check_count,
    first,
    joined,
    untimed,
    with_pins,
)
from friesian_fast.release.candidates import CandidateStore, Proposals, takes_score
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
    nearest : IndexRecall
        Over the same index.
    user_id_type : {"int64", "string"}
    rules : SearchRules
        What each user is not proposed, and the pinned items.
    clock : callable, optional
        Takes a timer's name and gives the context to run in.
    """

    def __init__(
        self,
        lists: CandidateStore,
        index: IvfIndex,
        nearest: IndexRecall,
        user_id_type: IdType,
        rules: SearchRules,
        clock: Clock = untimed,
    ) -> None:
        self._lists = lists
        self._index = index
        self._nearest = nearest
        self._user_id_type = user_id_type
        self._clock = clock
        self._rules = rules

    def candidates(self, user_id: int | str, k: int, asked: Filter | None = None) -> Candidates:
        """At most `k` items, best first, then the pinned ones that are not among them, with minus infinity."""
        check_count(k)
        with self._clock("indexing.listed"):
            user = as_ids([user_id], self._user_id_type)
            allowed = self._rules.filter_for(user, asked)
            proposed = self._lists.of(user)
            listed = None if proposed is None else self._allowed(proposed, allowed, k)
        if listed is None:
            nearest = self._nearest.nearest(user, k, allowed)
            found = replace(nearest, columns=self._lists.defaults(len(nearest.ids)))
        elif len(listed.ids) < k:
            found = _filled(listed, self._nearest.nearest(user, k, allowed), k)
        else:
            found = listed
        return with_pins(found, self._rules.pins_for(allowed)) if found.user_found else found

    def close(self) -> None:
        """Let go of the row stores, those of the nearest too."""
        self._lists.close()
        self._nearest.close()

    def _allowed(self, proposed: Proposals, allowed: CompiledFilter | None, k: int) -> Candidates:
        """The first `k` that the user may be shown."""
        shown = proposed.positions < len(self._index) if allowed is None else allowed.lets_through(proposed.positions)
        places = np.flatnonzero(shown)[:k]
        return Candidates(
            ids=self._index.ids_at(proposed.positions[places]),
            scores=proposed.scores[places],
            user_found=True,
            columns={name: values[places] for name, values in proposed.columns.items()},
        )


def _filled(answer: Candidates, nearest: Candidates, k: int) -> Candidates:
    """The answer, and behind it the nearest that it lacks."""
    there = set(answer.ids if isinstance(answer.ids, list) else answer.ids.tolist())
    items = nearest.ids if isinstance(nearest.ids, list) else nearest.ids.tolist()
    new = np.array([place for place, item in enumerate(items) if item not in there], np.int64)
    ids: Ids = [nearest.ids[place] for place in new] if isinstance(nearest.ids, list) else nearest.ids[new]
    return first(joined(answer, ids, nearest.scores[new]), k)


def open_recall(
    release: Release,
    index: IvfIndex,
    user_vectors: RowStore,
    clock: Clock = untimed,
    rules: SearchRules | None = None,
) -> CandidateSource:
    """The recall stage of a release: over its lists of candidates where it has them, else over its index alone.

    `rules` are the release's own unless given.
    """
    lists = release.row_store(CANDIDATE) if CANDIDATE in release.manifest.row_sets else None
    rules = RulesStage.of(release, index) if rules is None else rules
    return recall_over(release.spec, index, user_vectors, lists, rules, clock)


def recall_over(
    spec: FeatureSpec,
    index: IvfIndex,
    user_vectors: RowStore,
    lists: RowStore | None,
    rules: SearchRules,
    clock: Clock = untimed,
) -> CandidateSource:
    """The recall stage over parts that are open; `lists` holds the row set ``candidate``, if there is one."""
    nearest = IndexRecall(index, user_vectors, spec.row_set("item").id_type, rules, clock)
    if lists is None:
        return nearest
    store = CandidateStore(lists, score=takes_score(spec))
    return ListedRecall(store, index, nearest, spec.row_set("user").id_type, rules, clock)
