"""Metrics of ranked lists over the full catalogue, one value per user.

All take `hits`, which marks the places of a list that hold a relevant item, and `totals`, how many items are relevant.
A list shorter than k counts as if the missing places were misses. A user without a relevant item has no value: NaN,
which `mean` leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError

Values = NDArray[np.float64]


def recall(hits: NDArray[np.bool_], totals: NDArray[Any], k: int) -> Values:
    """Share of the relevant items that the first `k` places name: ``hits@k / totals``.

    Parameters
    ----------
    hits : bool ndarray of shape (n, places)
    totals : ndarray of int, shape (n,)
        Items that no list can name may be counted.
    k : int

    Returns
    -------
    float64 ndarray of shape (n,)
    """
    return _of_users(_first(hits, totals, k).sum(axis=1), totals, totals)


def precision(hits: NDArray[np.bool_], totals: NDArray[Any], k: int) -> Values:
    """Share of the first `k` places that hold a relevant item: ``hits@k / k``.

    Parameters and result as of `recall`.
    """
    return _of_users(_first(hits, totals, k).sum(axis=1), np.full(len(hits), k), totals)


def ndcg(hits: NDArray[np.bool_], totals: NDArray[Any], k: int) -> Values:
    """Discounted gain over that of the best list: ``sum(hit_i / log2(i + 1)) / sum(1 / log2(j + 1))``.

    i goes from 1 to k, j from 1 to the smaller of k and totals. Järvelin & Kekäläinen, "Cumulated gain-based
    evaluation of IR techniques", 2002, with binary gains. Parameters and result as of `recall`.
    """
    first = _first(hits, totals, k)
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)[np.clip(totals, 1, k) - 1]
    return _of_users((first * discounts[: first.shape[1]]).sum(axis=1), ideal, totals)


def average_precision(hits: NDArray[np.bool_], totals: NDArray[Any], k: int) -> Values:
    """Mean over the relevant items of the precision at their place: ``sum(hit_i * hits@i / i, i <= k) / totals``.

    As trec_eval's ``map_cut``: relevant items beyond place `k` count 0. Its mean is MAP@k. Parameters and result as of
    `recall`.
    """
    first = _first(hits, totals, k)
    at_place = np.cumsum(first, axis=1) / np.arange(1, first.shape[1] + 1)
    return _of_users((first * at_place).sum(axis=1), totals, totals)


def reciprocal_rank(hits: NDArray[np.bool_], totals: NDArray[Any], k: int) -> Values:
    """One over the first place that holds a relevant item, 0 if none of the first `k` does; its mean is MRR@k.

    Voorhees, "The TREC-8 question answering track report", 1999. Parameters and result as of `recall`.
    """
    first = _first(hits, totals, k)
    return _of_users((first / np.arange(1, first.shape[1] + 1)).max(axis=1, initial=0.0), np.ones(len(first)), totals)


def hit_rate(hits: NDArray[np.bool_], totals: NDArray[Any], k: int) -> Values:
    """1 if any of the first `k` places holds a relevant item, else 0. Parameters and result as of `recall`."""
    return _of_users(_first(hits, totals, k).max(axis=1, initial=False), np.ones(len(hits)), totals)


METRICS: dict[str, Callable[[NDArray[np.bool_], NDArray[Any], int], Values]] = {
    "recall": recall,
    "precision": precision,
    "ndcg": ndcg,
    "map": average_precision,
    "mrr": reciprocal_rank,
    "hit_rate": hit_rate,
}


def ranking_metrics(hits: NDArray[np.bool_], totals: NDArray[Any], ks: Sequence[int]) -> dict[str, Values]:
    """Every metric at every k, under names such as ``ndcg@10``; values as of `recall`."""
    return {f"{name}@{k}": metric(hits, totals, k) for name, metric in METRICS.items() for k in ks}


def mean(values: Values) -> float:
    """Mean over the users who have a value.

    Raises
    ------
    InvalidInputError
        If none has.
    """
    known = ~np.isnan(values)
    if not known.any():
        raise InvalidInputError(
            "no user has a relevant item; there is nothing to measure, check the ids of both tables"
        )
    return float(values[known].mean())


def _first(hits: NDArray[np.bool_], totals: NDArray[Any], k: int) -> NDArray[np.bool_]:
    """The first `k` columns, after a look at what was given."""
    if k < 1:
        raise InvalidInputError(f"k is {k}; it must be at least 1")
    if hits.ndim != 2 or totals.shape != hits.shape[:1]:
        raise InvalidInputError(
            f"hits have shape {hits.shape}, totals {totals.shape}; they must be (n, places) and (n,)"
        )
    named = hits.sum(axis=1)
    if (named > totals).any():
        row = int(np.argmax(named > totals))
        raise InvalidInputError(
            f"row {row} has {named[row]} hits, but only {totals[row]} relevant items; recount totals"
        )
    return hits[:, :k]


def _of_users(part: NDArray[Any], whole: NDArray[Any], totals: NDArray[Any]) -> Values:
    """Part over whole where there are positives, elsewhere NaN."""
    values = np.full(len(part), np.nan)
    np.divide(part, whole, out=values, where=totals > 0)
    return values
