"""The rules stage: what a user's search leaves out, and what happens to the order after ranking."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast.errors import FriesianError, InvalidInputError
from friesian_fast.recall import (
    CompiledFilter,
    Filter,
    IvfIndex,
    Predicate,
    json_of,
    predicate_from_json,
    with_normal_ids,
)
from friesian_fast.recall.columns import bits_at
from friesian_fast.recommend.stages import VECTOR_COLUMN, Ids
from friesian_fast.release.open import PopularItem, Release
from friesian_fast.release.rules import Rules
from friesian_fast.release.seen import SEEN, SeenStore
from friesian_fast.store import RowStore

Note = Callable[[str], None]

# Conditions of requests whose bitmaps are kept: what an application asks for again and again.
_CONDITIONS = 256
_CONDITION_BYTES = 64 << 20
_CONDITION_CHARACTERS = 64 << 10  # of one that is kept

_log = logging.getLogger(__name__)


def _silent(text: str) -> None:
    """For those who do not ask what was done."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RequestFilter(Filter):
    """A request's filter that `RulesStage.checked` has found to fit.

    Parameters
    ----------
    stage : RulesStage
        Which has checked it.
    compiled : callable
        What the rules and this filter let through, whoever the user is; worked out once.
    """

    stage: RulesStage
    compiled: Callable[[], CompiledFilter]


@dataclass(frozen=True, slots=True)
class _Condition:
    """Equal to others of the same text, so that what is kept is found again."""

    text: str
    where: Predicate | str = field(compare=False)


class RulesStage:
    """A release's rules and what requests ask besides, ready to be applied. Safe to use from many threads.

    Parameters
    ----------
    rules : Rules
        Which fit the index: `Rules.check`. There may be none in it.
    index : IvfIndex
        Of the items, with the columns the rules compare.
    seen : SeenStore, optional
        Needed where the rules hide what was seen.
    vectors : RowStore, optional
        Of the row set ``item_vector``; needed for diversity.
    """

    def __init__(
        self, rules: Rules, index: IvfIndex, *, seen: SeenStore | None = None, vectors: RowStore | None = None
    ) -> None:
        self._rules = rules
        self._reorders = rules.reorders
        self._index = index
        self._seen = seen
        self._vectors = vectors
        self._static = None if rules.filter is None else index.compile(rules.filter)
        self._open = self._static if self._static is not None else index.compile(Filter())
        kept = min(_CONDITIONS, _CONDITION_BYTES // max(self._open.bitmap.nbytes, 1))
        self._compiled_condition = lru_cache(maxsize=max(kept, 1))(self._compile_condition)
        columns = index.columns
        self._boosts = [(columns.compile(boost.where), boost.factor) for boost in rules.boosts if columns is not None]
        self._cap = columns.column(rules.cap.column) if rules.cap is not None and columns is not None else None
        pins = index.positions([pin.id for pin in rules.pins]) if rules.pins else np.empty(0, np.uint32)
        allowed = self._open.lets_through(pins)
        self._pins = [pin for pin, free in zip(rules.pins, allowed.tolist(), strict=True) if free]
        self._pin_positions = pins[allowed]

    @classmethod
    def of(cls, release: Release, index: IvfIndex | None = None) -> RulesStage:
        """The stage of a release; over an index that is open already, or one of its own."""
        rules = release.rules or Rules()
        return cls(
            rules,
            release.index() if index is None else index,
            seen=SeenStore(release.row_store(SEEN), release.spec.row_tag(SEEN)) if rules.hide_seen else None,
            vectors=release.row_store("item_vector") if rules.diversity is not None else None,
        )

    def checked(self, asked: Filter) -> RequestFilter | None:
        """A request's filter that every later step can apply, to any number of users; None where it asks for nothing.

        Its condition is compiled already; its ids are looked up when a user's filter is first made of it.

        Raises
        ------
        InvalidInputError
            If it has not one list of seen items but several, its condition is none or does not fit the items' columns,
            or an id is of another type than theirs. It names the field.
        """
        if isinstance(asked, RequestFilter) and asked.stage is self:
            return asked
        given = with_normal_ids(asked, self._index.string_ids)
        if given.seen is not None and len(given.seen) != 1:
            raise InvalidInputError(f"filter.seen has {len(given.seen)} lists; a request has one, of its user")
        deny = given.deny if given.deny is not None and len(given.deny) else None
        seen = given.seen if given.seen is not None and len(given.seen[0]) else None
        if given.where is None and given.allow is None and deny is None and seen is None:
            return None
        within = self._open if given.where is None else self._meeting(given.where)
        ids = Filter(allow=given.allow, deny=deny, seen=seen)
        return RequestFilter(
            where=given.where,
            allow=given.allow,
            deny=deny,
            seen=seen,
            stage=self,
            compiled=cache(lambda: self._index.compile(ids, within=within)),
        )

    def filter_for(self, user: Ids, asked: Filter | None = None) -> CompiledFilter | None:
        """What the search of one user may answer, by the rules and by the request; None for everything."""
        hidden = self._hidden(user)
        request = None if asked is None else self.checked(asked)
        if hidden is None:
            return self._static if request is None else request.compiled()
        return (self._open if request is None else request.compiled()).hiding([hidden])

    def pins_for(self, allowed: CompiledFilter | None) -> list[int | str]:
        """The pinned items that this user may be shown, who may be answered what is `allowed`."""
        if not self._pins:
            return []
        if allowed is None or allowed is self._static:
            return [pin.id for pin in self._pins]
        shown = allowed.lets_through(self._pin_positions).tolist()
        return [pin.id for pin, free in zip(self._pins, shown, strict=True) if free]

    def popular(
        self, items: Sequence[PopularItem], user: Ids, k: int, asked: Filter | None = None
    ) -> Sequence[PopularItem]:
        """The first k of the fallback list that this user may be shown.

        Where rules and filter leave fewer of the list, other items that they let through follow, in the order of the
        index and with score 0.
        """
        try:
            allowed = self.filter_for(user, asked)
        except FriesianError as error:  # this list is the last resort
            _log.warning("user %r is shown popular items that may have been seen: %s", user, error)
            request = None if asked is None else self.checked(asked)
            allowed = self._static if request is None else request.compiled()
        if allowed is None:
            return items[:k]
        positions = self._index.positions([item.id for item in items])
        shown = [items[i] for i in np.flatnonzero(allowed.lets_through(positions))[:k]]
        if len(shown) == k:
            return shown
        others = self._index.ids_at(np.setdiff1d(allowed.positions(), positions)[: k - len(shown)])
        listed = others if isinstance(others, list) else others.tolist()
        return [*shown, *(PopularItem(id=item, score=0.0) for item in listed)]

    def looked_at(self, k: int) -> int | None:
        """How many of the best scores decide about an answer of k items and stand in it; None where any may."""
        return None if self._reorders else k

    def order(
        self, ids: Ids, scores: NDArray[np.float32], k: int, note: Note | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Boosts, cap, diversity, pins, in this order.

        Parameters
        ----------
        ids : ids, shape (n,)
            Candidates; of equal scores the first counts as the better.
        scores : ndarray of float32, shape (n,)
        k : int
        note : callable, optional
            Told what each rule did.

        Returns
        -------
        order : ndarray of int64, shape (at most k,)
            Numbers of candidates, best first.
        scores : ndarray of float32, shape (n,)
            Of all candidates, after boosts.
        """
        if not self._reorders:
            return (-scores).argsort(kind="stable")[:k], scores
        note = note or _silent
        places = {pin.id: pin.place for pin in self._pins}
        listed = ids if isinstance(ids, list) else ids.tolist()
        pinned = {i: places[item] for i, item in enumerate(listed) if item in places}
        positions = self._index.positions(ids) if self._boosts or self._cap is not None else np.empty(0, np.uint32)
        scores = self._boosted(scores, positions, note)
        order = np.argsort(-scores, kind="stable")
        if pinned:
            order = order[~np.isin(order, list(pinned))]
        order = self._capped(order, positions, note)
        order = self._diversified(order, ids, scores, k, note)[:k]
        picked: list[int] = order.tolist()
        for i, place in sorted(pinned.items(), key=lambda item: item[1]):
            if place > k:  # waits for a longer list
                break
            note(f"pins: item {listed[i]!r} at place {place}")
            picked.insert(place - 1, i)
        return np.array(picked[:k], np.int64), scores

    def close(self) -> None:
        """Let go of the row stores."""
        for store in (self._seen, self._vectors):
            if store is not None:
                store.close()

    def _meeting(self, where: Predicate | str) -> CompiledFilter:
        """What meets a condition and the rules; kept for other requests with the same one."""
        condition = _Condition(where if isinstance(where, str) else json_of(where, "filter.where"), where)
        if len(condition.text) > _CONDITION_CHARACTERS:
            return self._compile_condition(condition)
        return self._compiled_condition(condition)

    def _compile_condition(self, condition: _Condition) -> CompiledFilter:
        where = condition.where
        if isinstance(where, str):
            where = predicate_from_json(where, "filter.where")
        if self._index.columns is None:
            raise InvalidInputError(
                "filter.where: this release has no item columns to filter by; publish it with `columns:`"
            )
        return self._index.compile(Filter(where=where), within=self._open)

    def _hidden(self, user: Ids) -> NDArray[np.uint32] | None:
        """Positions that the user has seen; None where nothing is hidden, which spares the search a bitmap."""
        if self._seen is None:
            return None
        positions = self._seen.positions(user)
        positions = positions[positions < len(self._index)]
        return positions if len(positions) else None

    def _boosted(self, scores: NDArray[np.float32], positions: NDArray[np.uint32], note: Note) -> NDArray[np.float32]:
        """A factor above 1 raises a score below 0 too."""
        for number, (bitmap, factor) in enumerate(self._boosts):
            meets = bits_at(bitmap, positions)
            note(f"boosts[{number}]: {np.count_nonzero(meets)} candidates by {factor:g}")
            with np.errstate(over="ignore"):
                raised = np.where(scores >= 0, scores * np.float32(factor), scores / np.float32(factor))
            scores = np.where(meets, raised, scores)
        most = np.finfo(np.float32).max
        return np.clip(scores, -most, most)

    def _capped(self, order: NDArray[np.int64], positions: NDArray[np.uint32], note: Note) -> NDArray[np.int64]:
        if self._cap is None or self._rules.cap is None:
            return order
        at = positions[order]
        values = self._cap.values[at].tolist()
        known = [True] * len(at) if self._cap.valid is None else bits_at(self._cap.valid, at).tolist()
        counts: dict[int, int] = {}
        kept = []
        for i, value, has_value in zip(order.tolist(), values, known, strict=True):
            if has_value:
                counts[value] = counts.get(value, 0) + 1
                if counts[value] > self._rules.cap.most:
                    continue
            kept.append(i)
        note(f"cap: {len(order) - len(kept)} candidates above {self._rules.cap.most} of one {self._cap.name} left out")
        return np.array(kept, np.int64)

    def _diversified(
        self, order: NDArray[np.int64], ids: Ids, scores: NDArray[np.float32], k: int, note: Note
    ) -> NDArray[np.int64]:
        if self._vectors is None or self._rules.diversity is None or len(order) == 0:
            return order
        some: Ids = [ids[i] for i in order] if isinstance(ids, list) else ids[order]
        vectors = np.ascontiguousarray(self._vectors.decode(some).columns[VECTOR_COLUMN], np.float32)
        ranked = scores[order]
        span = float(ranked[0] - ranked[-1])
        relevance = (ranked - ranked[-1]) / np.float32(span) if span > 0 else np.zeros_like(ranked)
        picks = _core.diversify(relevance, vectors, k, self._rules.diversity)
        moved = np.count_nonzero(picks != np.arange(len(picks)))
        note(f"diversity {self._rules.diversity:g}: {moved} of {len(picks)} places differ from the ranking")
        return order[picks]
