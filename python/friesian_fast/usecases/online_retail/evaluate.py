"""Full-catalogue retrieval metrics: what share of a user's later purchases a list names, and how high."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from friesian_fast.evaluate.ranking import mean, ndcg, recall

RECALL_K = 50
NDCG_K = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What the users with history bought after the split.

    Parameters
    ----------
    users : ndarray of int, shape (n,)
        Row of each user who bought something, ascending.
    bought : ndarray of bool, shape (n, items)
        Items of the catalogue.
    totals : ndarray of int, shape (n,)
        All distinct items bought, those that were never sold before the split included: no list can name them.
    """

    users: NDArray[Any]
    bought: NDArray[np.bool_]
    totals: NDArray[Any]

    def without(self, earlier: NDArray[np.bool_]) -> Truth:
        """Only what each user had not bought before; `earlier` has shape (n, items). Users may drop out."""
        bought = self.bought & ~earlier
        totals = self.totals - (self.bought & earlier).sum(axis=1)
        keep = totals > 0
        return Truth(users=self.users[keep], bought=bought[keep], totals=totals[keep])


def truth_of(pairs: pd.DataFrame, users: pd.Index, items: pd.Index) -> Truth:
    """From distinct ``user_id``, ``item_id`` pairs."""
    user = users.get_indexer(pairs["user_id"])
    item = items.get_indexer(pairs["item_id"])
    rows, position = np.unique(user[user >= 0], return_inverse=True)
    bought = np.zeros((len(rows), len(items)), np.bool_)
    item = item[user >= 0]
    bought[position[item >= 0], item[item >= 0]] = True
    return Truth(users=rows, bought=bought, totals=np.bincount(position))


Values = dict[str, NDArray[np.float64]]


def best(scores: NDArray[Any], k: int) -> NDArray[Any]:
    """Columns of the `k` largest scores of each row, best first, ties by column; shape (n, k)."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def list_metrics(lists: NDArray[Any], truth: Truth) -> Values:
    """Recall@50 and NDCG@10 of each user's list, float64 of shape (n,).

    Parameters
    ----------
    lists : ndarray of int, shape (n, k)
        Items for each of the truth's users, best first; -1 where a list is shorter.
    truth : Truth
    """
    hits = np.take_along_axis(truth.bought, np.maximum(lists, 0), axis=1) & (lists >= 0)
    return {
        f"recall@{RECALL_K}": recall(hits, truth.totals, RECALL_K),
        f"ndcg@{NDCG_K}": ndcg(hits, truth.totals, NDCG_K),
    }


def means(values: Values) -> dict[str, float]:
    """Over the users."""
    return {name: mean(column) for name, column in values.items()}


def both_ways(
    lists: Callable[[NDArray[Any], NDArray[np.bool_]], NDArray[Any]], truth: Truth, earlier: NDArray[np.bool_]
) -> Values:
    """Each user's metrics with what was bought before allowed, and, as ``new_…``, left out of lists and truth.

    Parameters
    ----------
    lists : callable
        Takes users, shape (n,), and the items they must not be shown, bool of shape (n, items); returns items, shape
        (n, k), best first.
    truth : Truth
    earlier : ndarray of bool, shape (users, items)
        Bought before the split.
    """
    new = truth.without(earlier[truth.users])
    known = list_metrics(lists(truth.users, np.zeros_like(truth.bought)), truth)
    unseen = list_metrics(lists(new.users, earlier[new.users]), new)
    return known | {f"new_{name}": value for name, value in unseen.items()}
