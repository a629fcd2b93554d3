"""The nearline step: which items to propose to each user, and what is known of each pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from friesian_fast.usecases.online_retail.collaborative import ease, gram, item_knn
from friesian_fast.usecases.online_retail.evaluate import best
from friesian_fast.usecases.online_retail.features import PAIR_COLUMNS, PROPOSED, SOURCES
from friesian_fast.usecases.online_retail.history import History

Pairs = dict[str, NDArray[np.float32]]
_BLOCK = 1000  # users whose scores are held at once


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalSettings:
    """How items are proposed; all did well on October 2011, learnt from what was before.

    Parameters
    ----------
    count : int
        So many of all items, and so many of those that the user never had.
    half_life_days, penalty : float
        EASE^R on the logarithm of decayed counts.
    binary_penalty : float
        EASE^R on who had what at all.
    shrink, neighbours : float, int
        Item-kNN on the decayed counts.
    own, own_half_life_days : float
        Weight of the logarithm of the user's own orders, decayed.
    popular, popular_days : float
        Weight of the logarithm of the item's recent buyers, as a share of the most popular item's.
    """

    count: int = PROPOSED
    half_life_days: float = 180.0
    penalty: float = 20.0
    binary_penalty: float = 200.0
    shrink: float = 10.0
    neighbours: int = 100
    own: float = 1.6
    own_half_life_days: float = 120.0
    popular: float = 0.6
    popular_days: float = 7.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """Pairs of a user and an item, users ascending, each one's best first.

    Parameters
    ----------
    user, item : ndarray of int64, shape (n,)
        Numbers of the history's users and items.
    score : ndarray of float32, shape (n,)
        What the order of retrieval goes by.
    owned : ndarray of bool, shape (n,)
        Whether the user had the item before.
    columns : mapping of PAIR_COLUMNS to ndarray of float32, shape (n,)
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    score: NDArray[np.float32]
    owned: NDArray[np.bool_]
    columns: Pairs

    def place(self, *, new: bool) -> NDArray[np.int64]:
        """The place of each pair in its user's list, from 0; of only new items, where -1 is for the others."""
        counted = ~self.owned if new else np.ones(len(self.user), np.bool_)
        before = np.cumsum(counted) - counted
        first = np.searchsorted(self.user, self.user)
        return np.where(counted, before - before[first], -1)


def propose(
    history: History, prices: NDArray[np.float64], asked: NDArray[np.int64], settings: ProposalSettings
) -> Proposed:
    """Score every item for the users asked for and keep the best.

    Parameters
    ----------
    history : History
    prices : ndarray of float64, shape (items,)
        What each item costs.
    asked : ndarray of int64, shape (n,)
        Numbers of users, ascending.
    settings : ProposalSettings
    """
    decayed, binary = history.counts(settings.half_life_days), history.counts()
    decayed.data, binary.data = np.log1p(decayed.data), np.ones_like(binary.data)
    products = gram(decayed)
    weights = (
        (decayed, ease(products, settings.penalty)),
        (binary, ease(gram(binary), settings.binary_penalty)),
        (decayed, item_knn(products, settings.shrink, settings.neighbours)),
    )
    repeated = history.counts(settings.own_half_life_days)
    popular = popular_share(history, settings.popular_days)
    own = _OwnPurchases(history, prices)
    parts = []
    for start in range(0, len(asked), _BLOCK):
        block = asked[start : start + _BLOCK]
        sources = [counts[block] @ weight for counts, weight in weights]
        orders = own.of("orders", block)
        often = np.log1p(repeated[block].toarray())
        score = sources[0] + sources[1] + settings.own * often + settings.popular * popular
        row, item = _best_of_both(score, orders > 0, settings.count)
        found = {"user": block[row], "item": item, "score": score[row, item], "owned": orders[row, item] > 0}
        found |= dict(zip(SOURCES, (source[row, item] for source in sources), strict=True))
        parts.append(found | own.columns(block, row, item))
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Proposed(
        user=whole["user"],
        item=whole["item"],
        score=whole["score"],
        owned=whole["owned"],
        columns={name: whole[name].astype(np.float32) for name in PAIR_COLUMNS},
    )


def popular_share(history: History, days: float) -> NDArray[np.float32]:
    """The logarithm of each item's recent buyers, of the most popular item 1; float32 of shape (items,)."""
    buyers = np.log1p(history.buyers(days))
    share: NDArray[np.float32] = buyers / max(buyers.max(), np.float32(1e-6))
    return share


def _best_of_both(
    score: NDArray[np.float32], owned: NDArray[np.bool_], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and items of the best of all, and of the best that are new; row by row, best first, ties by item."""
    order = best(score, score.shape[1])
    new = ~np.take_along_axis(owned, order, axis=1)
    kept = new & (np.cumsum(new, axis=1) <= count)
    kept[:, :count] = True
    row, place = np.nonzero(kept)
    return row, order[row, place]


class _OwnPurchases:
    """What is known of a pair from the user's own orders, 0 for what the user never had, and from the price.

    The price is told as its share of itself and what the user pays, one half where they are the same: it is never 0,
    which is kept for pairs of which nothing is known.
    """

    def __init__(self, history: History, prices: NDArray[np.float64]) -> None:
        pairs = history.pairs
        self._matrices = {name: history.matrix(name) for name in ("orders", "quantity", "last", "first")}
        self._matrices |= {f"decayed_{days}": history.counts(float(days)) for days in (30, 90)}
        self._since_order = pairs.groupby("user")["last"].min().reindex(range(len(history.users))).to_numpy(np.float32)
        paid = np.bincount(pairs["user"], prices[pairs["item"]] * pairs["lines"], len(history.users))
        lines = np.bincount(pairs["user"], pairs["lines"], len(history.users))
        self._paid = paid / np.maximum(lines, 1.0)
        self._prices = prices

    def of(self, name: str, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """Dense rows of some users."""
        rows: NDArray[np.float32] = self._matrices[name][users].toarray()
        return rows

    def columns(self, users: NDArray[np.int64], row: NDArray[np.int64], item: NDArray[np.int64]) -> Pairs:
        """Of pairs of a place in `users` and an item."""
        known = {name: self.of(name, users)[row, item] for name in self._matrices}
        had = known["orders"] > 0
        user = users[row]
        behind = known["last"] - self._since_order[user]
        due = known["last"] * known["orders"] / np.maximum(known["first"], 1.0)
        return {
            "own_orders": np.log1p(known["orders"]),
            "own_30": np.log1p(known["decayed_30"]),
            "own_90": np.log1p(known["decayed_90"]),
            "own_quantity": np.log1p(known["quantity"]),
            "own_fresh": np.where(had, 1.0 / (1.0 + known["last"] / 30.0), 0.0),
            "own_in_last": np.where(had, 1.0 / (1.0 + behind / 7.0), 0.0),
            "own_since": np.log1p(known["first"]),
            "own_due": np.log1p(np.minimum(due, 20.0)),
            "price_share": self._prices[item] / (self._prices[item] + self._paid[user]),
        }
