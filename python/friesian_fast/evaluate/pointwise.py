"""Metrics of single predictions: order (AUC, GAUC), probabilities (logloss) and their calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError


def auc(labels: NDArray[Any], scores: NDArray[Any]) -> float:
    """Area under the ROC curve: the chance that a positive outranks a negative, a tie counting half.

    From the mean ranks of the positives (Mann & Whitney, 1947; Hanley & McNeil, 1982).

    Parameters
    ----------
    labels : ndarray of float, shape (n,)
        0 or 1; both must occur.
    scores : ndarray of float, shape (n,)
        Any monotone score, without NaN.

    Returns
    -------
    float

    Raises
    ------
    InvalidInputError
        If a label is neither 0 nor 1, all are equal, or a score is NaN.
    """
    require_two_classes(labels, "the labels")
    _require_scores(labels, scores)
    order = np.argsort(scores, kind="stable")
    positive = labels[order] > 0
    n_positive = int(positive.sum())
    n_negative = len(labels) - n_positive
    ranks = _mean_ranks(_changes(scores[order]))
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


@dataclass(frozen=True, slots=True)
class GroupAuc:
    """AUC within groups.

    Parameters
    ----------
    groups : ndarray, shape (g,)
        The groups that hold both classes, ascending.
    auc : float64 ndarray of shape (g,)
    rows : int64 ndarray of shape (g,)
        How many rows each has.
    """

    groups: NDArray[Any]
    auc: NDArray[np.float64]
    rows: NDArray[np.int64]

    @property
    def mean(self) -> float:
        """GAUC: the mean weighted by rows."""
        return float((self.auc * self.rows).sum() / self.rows.sum())


def gauc(labels: NDArray[Any], scores: NDArray[Any], groups: NDArray[Any]) -> GroupAuc:
    """AUC of each user's rows; ``.mean`` weights them by their number: ``sum(rows_u * auc_u) / sum(rows_u)``.

    Zhu et al., "Optimized cost per click in Taobao display advertising", 2017. Users of one class have no AUC and are
    left out.

    Parameters
    ----------
    labels, scores : ndarray of float, shape (n,)
        As of `auc`.
    groups : ndarray, shape (n,)
        Whose row it is.

    Raises
    ------
    InvalidInputError
        As of `auc`, or if no group holds both classes.
    """
    require_two_classes(labels, "the labels")
    _require_scores(labels, scores)
    names, group = np.unique(groups, return_inverse=True)
    order = np.lexsort((scores, group))
    group, positive = group[order], labels[order] > 0
    ranks = _mean_ranks(_changes(group) | _changes(scores[order]))
    rows = np.bincount(group)
    ranks -= (np.cumsum(rows) - rows)[group]
    n_positive = np.bincount(group[positive], minlength=len(names))
    sums = np.bincount(group[positive], weights=ranks[positive], minlength=len(names))
    pairs = n_positive * (rows - n_positive)
    both = pairs > 0
    if not both.any():
        raise InvalidInputError("no group holds both classes, so that none has an AUC; check the group column")
    values = (sums - n_positive * (n_positive + 1) / 2)[both] / pairs[both]
    return GroupAuc(names[both], values, rows[both])


def logloss(labels: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """Mean cross-entropy: ``-mean(y log p + (1 - y) log(1 - p))``, in float64.

    Probabilities are kept the machine epsilon of their own dtype away from 0 and 1, as in scikit-learn.

    Parameters
    ----------
    labels : ndarray of float, shape (n,)
        0 or 1; both must occur.
    probabilities : ndarray of float, shape (n,)
        In [0, 1].

    Raises
    ------
    InvalidInputError
        If labels or probabilities are not such.
    """
    require_two_classes(labels, "the labels")
    require_probabilities(labels, probabilities)
    epsilon = np.finfo(np.result_type(probabilities, np.float32)).eps
    p = np.clip(probabilities.astype(np.float64), epsilon, 1 - epsilon)
    return float(-np.mean(np.where(labels > 0, np.log(p), np.log1p(-p))))


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was predicted and what happened, by bins of equal width; empty bins are NaN.

    Parameters
    ----------
    edges : float64 ndarray of shape (bins + 1,)
    counts : int64 ndarray of shape (bins,)
    predicted, observed : float64 ndarrays of shape (bins,)
        Mean probability and share of positives.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """Expected calibration error: ``sum(counts * |observed - predicted|) / sum(counts)``."""
        filled = self.counts > 0
        gaps = np.abs(self.observed - self.predicted)[filled]
        return float((gaps * self.counts[filled]).sum() / self.counts.sum())


def calibration(labels: NDArray[Any], probabilities: NDArray[Any], *, bins: int = 10) -> Calibration:
    """Compare probabilities with frequencies; a probability on an edge falls into the bin below it.

    Naeini, Cooper & Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", 2015.

    Parameters
    ----------
    labels : ndarray of float, shape (n,)
        0 or 1; both must occur.
    probabilities : ndarray of float, shape (n,)
        In [0, 1].
    bins : int, default 10

    Raises
    ------
    InvalidInputError
        If labels, probabilities or `bins` are not such.
    """
    if bins < 1:
        raise InvalidInputError(f"bins is {bins}; it must be at least 1")
    require_two_classes(labels, "the labels")
    require_probabilities(labels, probabilities)
    p = probabilities.astype(np.float64)
    edges = np.linspace(0.0, 1.0, bins + 1)
    of = np.searchsorted(edges[1:-1], p)
    counts = np.bincount(of, minlength=bins)
    means = []
    for values in (p, labels.astype(np.float64)):
        means.append(np.full(bins, np.nan))
        np.divide(np.bincount(of, weights=values, minlength=bins), counts, out=means[-1], where=counts > 0)
    return Calibration(edges, counts, means[0], means[1])


def require_two_classes(labels: NDArray[Any], where: str) -> None:
    """Refuse labels from which nothing can be learned or measured.

    Raises
    ------
    InvalidInputError
        If a label is neither 0 nor 1, or if all are equal.
    """
    positive = int((labels == 1).sum())
    if positive + int((labels == 0).sum()) != len(labels):
        raise InvalidInputError(f"{where}: a label is neither 0 nor 1; check how the label column was made")
    if positive in (0, len(labels)):
        raise InvalidInputError(
            f"{where}: all {len(labels)} labels are {min(positive, 1)}; both classes must occur, take other rows"
        )


def require_probabilities(labels: NDArray[Any], probabilities: NDArray[Any]) -> None:
    """Refuse what is not a probability for each label.

    Raises
    ------
    InvalidInputError
        If one is outside [0, 1] or NaN, or there are more or fewer than labels.
    """
    _require_scores(labels, probabilities)
    outside = ~((probabilities >= 0) & (probabilities <= 1))
    if outside.any():
        row = int(np.argmax(outside))
        raise InvalidInputError(
            f"{probabilities[row]} in row {row} is not a probability; put a logit through the sigmoid first"
        )


def _require_scores(labels: NDArray[Any], scores: NDArray[Any]) -> None:
    if scores.shape != labels.shape:
        raise InvalidInputError(f"scores have shape {scores.shape}, labels {labels.shape}; give one score per label")
    if np.isnan(scores).any():
        raise InvalidInputError(f"the score in row {int(np.argmax(np.isnan(scores)))} is NaN; scores must be numbers")


def _changes(ordered: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a run of equal values starts."""
    return np.concatenate([[True], ordered[1:] != ordered[:-1]])


def _mean_ranks(starts: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Ranks from 1, those of a run replaced by their mean."""
    first = np.flatnonzero(starts)
    ends = np.append(first[1:], len(starts))
    return np.repeat((first + 1 + ends) / 2, ends - first)
