"""One request, whole: candidates, rows, scores, the best; or the popular items, saying why."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import FriesianError, InvalidInputError, NotFoundError
from friesian_fast.rank import Ranker
from friesian_fast.recall import Filter, Predicate, as_ids
from friesian_fast.recall.arguments import integer
from friesian_fast.recommend.explain import Explanation, Trace
from friesian_fast.recommend.inputs import InputBuilder
from friesian_fast.recommend.listed import open_recall
from friesian_fast.recommend.rules import RulesStage
from friesian_fast.recommend.stages import (
    Candidates,
    CandidateSource,
    Clock,
    Ids,
    untimed,
)
from friesian_fast.release.manifest import MAX_CANDIDATES
from friesian_fast.release.open import Release
from friesian_fast.store import RowBatch, RowStore

_DEFAULT_K = 10

_log = logging.getLogger(__name__)

Ahead = Callable[[Ids], Callable[[], RowBatch]]


class TooFewCandidatesError(InvalidInputError):
    """More items are asked for than candidates are to be ranked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The answer for one user, best first.

    Parameters
    ----------
    ids : array of int64, shape (n,), or list of str
    scores : array of float32, shape (n,)
        The ranker's; of a fallback the items' share of the interactions.
    fallback : str or None
        Why these are the popular items, if they are.
    explanation : Explanation or None
        How the answer came about, where that was asked for.
    """

    ids: Ids
    scores: NDArray[np.float32]
    fallback: str | None = None
    explanation: Explanation | None = None


class Recommender:
    """The chain over any stages, in this process or behind a wire.

    Parameters
    ----------
    release : Release
        Its spec, its fallback list and the size of its catalogue.
    users, items : RowStore
    recall : CandidateSource
    ranker : Ranker
    rules : RulesStage
        What happens after ranking, and to the fallback list; checks what requests ask to be left out.
    ahead : callable, optional
        Takes ids, begins to fetch the rows of users, and gives a function that waits for them: recall runs meanwhile.
        Worth it only where both wait for a network.
    clock : callable, optional
        Takes a timer's name and gives the context to run in.
    """

    def __init__(
        self,
        release: Release,
        *,
        users: RowStore,
        items: RowStore,
        recall: CandidateSource,
        ranker: Ranker,
        rules: RulesStage,
        ahead: Ahead | None = None,
        clock: Clock = untimed,
    ) -> None:
        self._release = release
        self._users = users
        self._items = items
        self._recall = recall
        self._ranker = ranker
        self._ahead = ahead
        self._clock = clock
        self._rules = rules
        self._inputs = InputBuilder(release.spec)
        self.release_id = release.id
        self.user_id_type = release.spec.row_set("user").id_type
        self.item_id_type = release.spec.row_set("item").id_type
        self.catalogue = release.manifest.index.vectors

    def recommend(
        self,
        user_id: int | str,
        *,
        k: int | None = None,
        candidates: int | None = None,
        explain: bool = False,
        filter: Filter | Predicate | None = None,
    ) -> Recommendation:
        """The `k` best of `candidates` proposed items.

        An unknown user, or a stage that fails, is answered with the release's popular items and the reason.

        Parameters
        ----------
        user_id : int or str
        k : int, optional
            10, or the whole catalogue if it is smaller.
        candidates : int, optional
            As many as the release was published for, 50 if its plan does not say; but never less than `k` nor more
            than the catalogue.
        explain : bool, default False
            Say how the answer came about; a fallback has its reason only.
        filter : Filter or Predicate, optional
            What this answer may hold, besides the release's rules, which hold as well; a fallback follows it too.
            `Filter.seen` has one list, of this user.

        Raises
        ------
        InvalidInputError
            If the id is of the wrong type, `k` or `candidates` is out of range, or the filter does not fit the items;
            it names the field or the column.
        """
        k, candidates = self.sizes(k, candidates)
        self._check(k, candidates)
        user = as_ids([user_id], self.user_id_type)
        asked = None if filter is None else self.checked(filter)
        with self._clock("recommend.overall"):
            try:
                return self._ranked(user_id, user, k, candidates, asked, Trace() if explain else None)
            except NotFoundError as error:
                return self._popular(user, k, asked, str(error))
            except FriesianError as error:
                _log.warning("user %r gets the popular items: %s", user_id, error)
                return self._popular(user, k, asked, str(error))

    def sizes(self, k: int | None, candidates: int | None) -> tuple[int, int]:
        """`k` and `candidates` of a request, with what `recommend` takes for those not given.

        Raises
        ------
        InvalidInputError
            If one is no whole number.
        """
        k = min(_DEFAULT_K, self.catalogue) if k is None else integer("k", k)
        if candidates is None:
            candidates = max(k, min(self._release.manifest.ranker.candidates, self.catalogue))
        return k, integer("candidates", candidates)

    def close(self) -> None:
        """Let go of the row stores, those of the stages too."""
        self._recall.close()
        self._users.close()
        self._items.close()
        self._rules.close()

    def _check(self, k: int, candidates: int) -> None:
        if k < 1:
            raise InvalidInputError(f"k is {k}; it must be at least 1")
        if candidates < k:
            raise TooFewCandidatesError(
                f"CandidateNum should be larger than recommendNum. {candidates} candidates (canK) cannot give {k} "
                "items (k)"
            )
        limit = min(MAX_CANDIDATES, self.catalogue)
        for name, number in (("k", k), ("candidates (canK)", candidates)):
            if number > limit:
                raise InvalidInputError(
                    f"{name} is {number}, which is too many: the release has {self.catalogue} items and a request may "
                    f"rank {MAX_CANDIDATES}"
                )

    def checked(self, filter: Filter | Predicate) -> Filter | None:
        """A filter made ready for `recommend`, which several users may share; None where it asks for nothing.

        Raises
        ------
        InvalidInputError
            If it does not fit the items; it names the field or the column.
        """
        given = Filter(where=filter) if isinstance(filter, Predicate) else filter
        if not isinstance(given, Filter):
            raise InvalidInputError(f"a filter is a condition on columns or a Filter, got {type(filter).__name__}")
        return self._rules.checked(given)

    def _ranked(
        self, user_id: int | str, user: Ids, k: int, candidates: int, asked: Filter | None, trace: Trace | None
    ) -> Recommendation:
        user_row = partial(self._users.find, user) if self._ahead is None else self._ahead(user)
        with self._time("recommend.recall", trace):
            # Sources that know of no filters serve where none is asked for.
            more = () if asked is None else (asked,)
            found = self._recall.candidates(user_id, candidates, *more)
        with self._time("recommend.feature.user", trace):
            row = user_row()
        if not found.user_found:
            raise NotFoundError(f"user {user_id!r} has no vector in release {self.release_id}")
        if len(found.ids) == 0:
            raise NotFoundError(f"rules and filter leave no item for user {user_id!r}")
        if row.count == 0:
            raise NotFoundError(f"user {user_id!r} has no features in release {self.release_id}")
        with self._time("recommend.feature.item", trace):
            items = self._items.find(found.ids)
        if items.count == 0:
            raise FriesianError(f"none of the {len(found.ids)} candidates of user {user_id!r} has features")
        with self._time("recommend.preprocess", trace):
            inputs = self._inputs.build(row, items, found.columns)
        with self._time("recommend.rankingInference", trace):
            scores = self._ranker.score(inputs, self._rules.looked_at(k))
        with self._time("recommend.topK", trace):
            answer = self._in_order(found, items, scores, k, trace)
        return answer if trace is None else replace(answer, explanation=trace.explanation(inputs))

    def _in_order(
        self, found: Candidates, items: RowBatch, scores: NDArray[np.float32], k: int, trace: Trace | None
    ) -> Recommendation:
        """The best of the candidates that have a row, as the rules want it; of equal ones what recall had first."""
        ids, recall_scores = found.ids, found.scores
        if items.count < len(ids):
            places = np.flatnonzero(items.found)
            ids, recall_scores = _at(ids, places), recall_scores[places]
        order, final = self._rules.order(ids, scores, k, None if trace is None else trace.notes.append)
        if trace is not None:
            trace.keep(ids, recall_scores, scores, final)
        return Recommendation(ids=_at(ids, order), scores=final[order])

    def _time(self, name: str, trace: Trace | None) -> AbstractContextManager[Any]:
        return self._clock(name) if trace is None else trace.time(name, self._clock(name))

    def _popular(self, user: Ids, k: int, asked: Filter | None, why: str) -> Recommendation:
        items = self._rules.popular(self._release.popular, user, k, asked)
        return Recommendation(
            ids=as_ids([item.id for item in items], self.item_id_type),
            scores=np.array([item.score for item in items], np.float32),
            fallback=why,
        )


def _at(ids: Ids, places: NDArray[np.int64]) -> Ids:
    return [ids[i] for i in places] if isinstance(ids, list) else ids[places]


def open_recommender(release: Release, clock: Clock = untimed) -> Recommender:
    """The chain with every stage in this process, on the release's own files."""
    index = release.index()
    rules = RulesStage.of(release, index)
    return Recommender(
        release,
        users=release.row_store("user"),
        items=release.row_store("item"),
        recall=open_recall(release, index, release.row_store("user_vector"), clock, rules),
        ranker=release.ranker(),
        rules=rules,
        clock=clock,
    )
