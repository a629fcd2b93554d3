"""Binary-classification metrics of a whole epoch at once, exact, under Keras' names."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from friesian_fast.evaluate.pointwise import auc


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
        # Logits that are NaN have no order; the loss says so, and the caller stops.
        "auc": auc(labels, z) if math.isfinite(loss) else math.nan,
        "precision": hits / max(int(predicted.sum()), 1),
        "recall": hits / int(positive.sum()),
    }
