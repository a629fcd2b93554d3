"""The simple and the strong recommenders that ours has to match, each tuned on the month before the split."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from friesian_fast.errors import MissingExtraError
from friesian_fast.usecases.online_retail.collaborative import ease, gram, item_knn
from friesian_fast.usecases.online_retail.evaluate import RECALL_K, Truth, Values, best, both_ways, means
from friesian_fast.usecases.online_retail.history import History
from friesian_fast.usecases.online_retail.proposals import popular_share

Scores = NDArray[np.float32]
# Takes a history, the numbers of users, and which settings to try; None for all. Gives each setting's scores of every
# item for these users.
Family = Callable[[History, NDArray[Any], Collection[str] | None], Iterator[tuple[str, Scores]]]

_FILL_DAYS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """A family of recommenders.

    Parameters
    ----------
    values : mapping of metric to ndarray, shape (users,)
        On the months after the split.
    chosen : mapping of metric to str
        The setting that did best by it on the month before: every metric has its own.
    tried : int
        Settings.
    """

    values: Values
    chosen: dict[str, str]
    tried: int


def tuned(family: Family, earlier: tuple[History, Truth], later: tuple[History, Truth]) -> Tuned:
    """Choose on the earlier history and what was bought then, measure on the later."""
    validated = {name: means(values) for name, values in _evaluated(family, *earlier, None)}
    metrics = list(next(iter(validated.values())))
    chosen = {metric: max(validated, key=lambda name: validated[name][metric]) for metric in metrics}
    measured = dict(_evaluated(family, *later, set(chosen.values())))
    return Tuned(
        values={metric: measured[name][metric] for metric, name in chosen.items()},
        chosen=chosen,
        tried=len(validated),
    )


def _evaluated(
    family: Family, history: History, truth: Truth, wanted: Collection[str] | None
) -> Iterator[tuple[str, Values]]:
    owned = history.counts().toarray() > 0
    row = np.full(len(history.users), -1)
    row[truth.users] = np.arange(len(truth.users))
    for name, scores in family(history, truth.users, wanted):

        def lists(users: NDArray[Any], barred: NDArray[np.bool_], scores: Scores = scores) -> NDArray[Any]:
            return best(np.where(barred, -np.inf, scores[row[users]]), RECALL_K)

        yield name, both_ways(lists, truth, owned)


def popularity(history: History, users: NDArray[Any], wanted: Collection[str] | None) -> Iterator[tuple[str, Scores]]:
    """Most buyers of late."""
    for days in (3, 7, 14, 28, 91):
        if _asked(name := f"buyers of {days} days", wanted):
            yield name, np.broadcast_to(history.buyers(days), (len(users), len(history.items)))


def own_items(history: History, users: NDArray[Any], wanted: Collection[str] | None) -> Iterator[tuple[str, Scores]]:
    """What the user had most often; then the popular."""
    popular = history.buyers(_FILL_DAYS)
    fill = popular / (popular.max() + 1.0) * 1e-3
    kinds = {"lines": history.matrix("lines"), "orders": history.counts()}
    kinds |= {f"orders, half-life {days} days": history.counts(float(days)) for days in (60, 120, 240)}
    for name, counts in kinds.items():
        if _asked(name, wanted):
            yield name, counts[users].toarray() + fill


def knn(history: History, users: NDArray[Any], wanted: Collection[str] | None) -> Iterator[tuple[str, Scores]]:
    """Item-kNN by shrunk cosine; an item may be its own neighbour, which proposes what the user had."""
    for kind, counts in _inputs(history).items():
        products = gram(counts)
        for shrink, neighbours, itself in product((0.0, 10.0, 30.0, 100.0), (25, 50, 100, 200, 400), (False, True)):
            name = f"{kind}, shrink {shrink:g}, {neighbours} neighbours{', itself one' if itself else ''}"
            if _asked(name, wanted):
                yield name, counts[users] @ item_knn(products, shrink, neighbours, itself=itself)


def ease_r(history: History, users: NDArray[Any], wanted: Collection[str] | None) -> Iterator[tuple[str, Scores]]:
    """EASE^R."""
    for kind, counts in _inputs(history).items():
        products = gram(counts)
        for penalty in (1.0, 2.0, 5.0, 20.0, 60.0, 200.0, 500.0, 1000.0):
            if _asked(name := f"{kind}, penalty {penalty:g}", wanted):
                yield name, counts[users] @ ease(products, penalty)


def als(history: History, users: NDArray[Any], wanted: Collection[str] | None) -> Iterator[tuple[str, Scores]]:
    """Implicit ALS (Hu, Koren and Volinsky 2008), of the package ``implicit``."""
    try:
        from implicit.cpu.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise MissingExtraError("the ALS baseline", "bench") from error
    kinds = {kind: counts for kind, counts in _inputs(history).items() if kind != "had at all"}
    for kind, factors, alpha, penalty in product(kinds, (128, 256, 512), (1.0, 10.0), (1.0, 10.0, 100.0)):
        if not _asked(name := f"{kind}, {factors} factors, alpha {alpha:g}, penalty {penalty:g}", wanted):
            continue
        counts = sparse.csr_matrix(kinds[kind])
        model = AlternatingLeastSquares(
            factors=factors, alpha=alpha, regularization=penalty, iterations=15, random_state=0
        )
        with threadpool_limits(1, "blas"):  # it runs threads of its own
            model.fit(counts, show_progress=False)
        yield name, model.user_factors[users] @ model.item_factors.T


def blend(history: History, users: NDArray[Any], wanted: Collection[str] | None) -> Iterator[tuple[str, Scores]]:
    """What the proposals are made of, weighted anew: EASE^R twice, own purchases, popularity."""
    inputs = _inputs(history)
    decayed = inputs["log orders, half-life 180 days"]
    often = decayed[users] @ ease(gram(decayed), 20.0)
    binary = inputs["had at all"]
    had = binary[users] @ ease(gram(binary), 200.0)
    own = {days: np.log1p(history.counts(days)[users].toarray()) for days in (None, 120.0)}
    popular = {days: popular_share(history, days) for days in (7.0, 14.0)}
    grid = product((0.5, 1.0, 2.0), own, (0.8, 1.6), popular, (0.3, 0.6, 1.0))
    for of_had, half_life, of_own, days, of_popular in grid:
        counted = "orders" if half_life is None else f"orders, half-life {half_life:g} days"
        name = (
            f"EASE^R + {of_had:g} EASE^R on had at all + {of_own:g} own {counted} + {of_popular:g} buyers of "
            f"{days:g} days"
        )
        if _asked(name, wanted):
            yield name, often + of_had * had + of_own * own[half_life] + of_popular * popular[days]


FAMILIES: dict[str, Family] = {
    "popularity": popularity,
    "own most frequent items": own_items,
    "item-kNN": knn,
    "implicit ALS": als,
    "EASE^R": ease_r,
    "blend of the sources": blend,
}


def _inputs(history: History) -> dict[str, Any]:
    """What the collaborative ones learn from: whether, and how often, and how often of late."""
    binary, often, recent = history.counts(), history.counts(), history.counts(180.0)
    binary.data = np.ones_like(binary.data)
    often.data, recent.data = np.log1p(often.data), np.log1p(recent.data)
    return {"had at all": binary, "log orders": often, "log orders, half-life 180 days": recent}


def _asked(name: str, wanted: Collection[str] | None) -> bool:
    return wanted is None or name in wanted
