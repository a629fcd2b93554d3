"""How sure a mean over users is: percentile bootstrap, users drawn with replacement (Efron & Tibshirani, 1993)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.evaluate.pointwise import auc

_BLOCK = 1 << 22  # draws held at once


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and what it may be: `confidence` of the resampled values lie in [low, high]."""

    value: float
    low: float
    high: float
    confidence: float

    @property
    def includes_zero(self) -> bool:
        """Of a difference: whether chance may have decided its sign. That is not to say that it is 0."""
        return self.low <= 0 <= self.high

    def less(self, asked: float) -> Interval:
        """What the value has beyond a fixed number."""
        return Interval(self.value - asked, self.low - asked, self.high - asked, self.confidence)


def bootstrap_mean(
    values: NDArray[Any],
    weights: NDArray[Any] | None = None,
    *,
    samples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Mean of values per user and its interval. For two lists compare the differences of their values.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
        One per user; users with NaN are left out.
    weights : ndarray of float, shape (n,), optional
        For ``sum(weights * values) / sum(weights)``; positive.
    samples : int, default 1000
    confidence : float, default 0.95
    seed : int, default 0

    Raises
    ------
    InvalidInputError
        If no user has a value, or an option is out of range.
    """
    _require_options(samples, confidence)
    known = ~np.isnan(values)
    if not known.any():
        raise InvalidInputError("no user has a value; there is nothing to resample")
    weight = np.ones(int(known.sum())) if weights is None else np.asarray(weights, np.float64)[known]
    part = values[known] * weight
    rng = np.random.default_rng(seed)
    means = np.empty(samples)
    step = max(1, _BLOCK // len(part))
    for start in range(0, samples, step):
        drawn = rng.integers(len(part), size=(min(step, samples - start), len(part)))
        means[start : start + step] = part[drawn].sum(axis=1) / weight[drawn].sum(axis=1)
    return _interval(float(part.sum() / weight.sum()), means, confidence)


def bootstrap_auc(
    labels: NDArray[Any],
    scores: NDArray[Any],
    users: NDArray[Any],
    *,
    samples: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """AUC over all rows and its interval; a drawn user brings all its rows.

    Parameters
    ----------
    labels, scores : ndarray of float, shape (n,)
        As of `auc`.
    users : ndarray, shape (n,)
        Whose row it is.
    samples, confidence, seed
        As of `bootstrap_mean`. A sample of one class only is left out.
    """
    _require_options(samples, confidence)
    return _interval(auc(labels, scores), _resampled_aucs(labels, scores, users, samples, seed), confidence)


def bootstrap_auc_difference(
    labels: NDArray[Any],
    scores: NDArray[Any],
    others: NDArray[Any],
    users: NDArray[Any],
    *,
    samples: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """AUC of `scores` less that of `others` on the same rows, and its interval; both are measured on each sample.

    Parameters
    ----------
    labels, scores, others : ndarray of float, shape (n,)
    users, samples, confidence, seed
        As of `bootstrap_auc`.
    """
    _require_options(samples, confidence)
    value = auc(labels, scores) - auc(labels, others)
    drawn = [_resampled_aucs(labels, of, users, samples, seed) for of in (scores, others)]
    return _interval(value, drawn[0] - drawn[1], confidence)


def _resampled_aucs(
    labels: NDArray[Any], scores: NDArray[Any], users: NDArray[Any], samples: int, seed: int
) -> NDArray[np.float64]:
    """One for each sample that holds both classes; which users are drawn depends on the seed alone."""
    order = np.argsort(scores, kind="stable")
    ordered, positive = scores[order], labels[order] > 0
    ties = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    names, user = np.unique(users[order], return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn_aucs = []
    for _ in range(samples):
        times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))[user]
        won = np.add.reduceat(times * positive, ties)
        lost = np.add.reduceat(times * ~positive, ties)
        pairs = int(won.sum()) * int(lost.sum())
        if pairs:
            drawn_aucs.append(float((won * (np.cumsum(lost) - lost / 2)).sum()) / pairs)
    if not drawn_aucs:
        raise InvalidInputError("no sample holds both classes; the labels of too few users differ")
    return np.array(drawn_aucs)


def _require_options(samples: int, confidence: float) -> None:
    if samples < 1:
        raise InvalidInputError(f"samples is {samples}; it must be at least 1")
    if not 0 < confidence < 1:
        raise InvalidInputError(f"confidence is {confidence}; it must lie between 0 and 1")


def _interval(value: float, resampled: NDArray[np.float64], confidence: float) -> Interval:
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high), confidence)
