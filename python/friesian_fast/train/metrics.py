"""Binary-classification metrics of a whole epoch at once, exact, under Keras' names."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError


def auc(labels: NDArray[np.floating], scores: NDArray[np.floating]) -> float:
    """Area under the ROC curve: the chance that a positive outranks a negative, a tie counting half.

    Parameters
    ----------
    labels : ndarray of float, shape (n,)
        0 or 1; both must occur.
    scores : ndarray of float, shape (n,)
        Any monotone score.
    """
    require_two_classes(labels, "the labels")
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    ends = np.append(starts[1:], len(ordered))
    mean_rank = np.repeat((starts + 1 + ends) / 2, ends - starts)
    positive = labels[order] > 0
    n_positive = int(positive.sum())
    n_negative = len(labels) - n_positive
    return float((mean_rank[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def binary_metrics(labels: NDArray[np.floating], logits: NDArray[np.floating]) -> dict[str, float]:
    """All that the training log shows.

    Parameters
    ----------
    labels : ndarray of float, shape (n,)
        0 or 1; both must occur.
    logits : ndarray of float, shape (n,)
        Scores before the sigmoid; above 0 predicts 1.

    Returns
    -------
    dict of str to float
        ``loss`` (the cross-entropy), ``binary_accuracy``, ``binary_crossentropy``, ``auc``, ``precision``, ``recall``.
    """
    z = logits.astype(np.float64)
    positive = labels > 0
    predicted = z > 0
    hits = int((positive & predicted).sum())
    # log(1 + exp(z)) - label * z, in the form that does not overflow.
    loss = float(np.mean(np.maximum(z, 0) - z * positive + np.log1p(np.exp(-np.abs(z)))))
    return {
        "loss": loss,
        "binary_accuracy": float((positive == predicted).mean()),
        "binary_crossentropy": loss,
        "auc": auc(labels, z),
        "precision": hits / max(int(predicted.sum()), 1),
        "recall": hits / int(positive.sum()),
    }


def require_two_classes(labels: NDArray[np.floating], where: str) -> None:
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
