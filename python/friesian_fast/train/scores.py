"""Binary metrics of an epoch from counts that workers can add up, however many rows there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.train.comm import Array, Comm

# What a model gives: numbers from 0 to 1, or those before the sigmoid.
Scale = Literal["probabilities", "logits"]

NAMES = ("auc", "binary_accuracy", "binary_crossentropy", "precision", "recall")
# Logits are told apart from 2^-16 to 2^7, by the 15 upper bits of their mantissa.
_FRACTION, _LEAST, _MOST = 15, -16, 7
_SIDE = (_MOST - _LEAST) << _FRACTION
_BINS = 2 * _SIDE + 1


def require_known(names: Iterable[str]) -> None:
    """Refuse a metric that is not one of ours."""
    for name in names:
        if name not in NAMES:
            raise InvalidInputError(f"there is no metric '{name}'; use {', '.join(NAMES)}, or compile a Keras model")


class BinaryScores:
    """Labels and logits of rows, as counts.

    The logits are counted in 1.5 million bins, each as wide as 1/32768 of its logit, so the AUC is that of logits
    rounded to that (and cut at 128), ties counting half. All other metrics are exact.
    """

    def __init__(self) -> None:
        self._counts = np.zeros((2, _BINS), np.int64)
        self._sums = np.zeros(3)  # hits of positives, hits of negatives, cross-entropy

    def add(self, labels: Array, logits: Array) -> None:
        """Count rows: labels 0 or 1 and scores before the sigmoid, both of shape (n,)."""
        positive = labels > 0
        z = logits.astype(np.float64)
        bins = _bins(logits)
        for row, chosen in ((1, positive), (0, ~positive)):
            np.add.at(self._counts[row], bins[chosen], 1)
        loss = np.maximum(z, 0) - z * positive + np.log1p(np.exp(-np.abs(z)))
        self._sums += [(positive & (z > 0)).sum(), (~positive & (z <= 0)).sum(), loss.sum()]

    def merged(self, comm: Comm) -> BinaryScores:
        """Those of all workers."""
        if comm.world == 1:
            return self
        both = BinaryScores()
        both._counts, both._sums = comm.sum(self._counts.copy()), comm.sum(self._sums.copy())
        return both

    def state(self) -> list[Array]:
        """The bins that hold something, what they hold, and the sums: for `of`."""
        filled = np.flatnonzero(self._counts.any(axis=0))
        return [filled, self._counts[:, filled], self._sums]

    @classmethod
    def of(cls, state: Sequence[Array]) -> BinaryScores:
        """From what `state` gave."""
        scores = cls()
        filled, counts, sums = state
        scores._counts[:, filled] = counts
        scores._sums = sums.copy()
        return scores

    @property
    def classes(self) -> tuple[int, int]:
        """How many negatives and positives there are."""
        return int(self._counts[0].sum()), int(self._counts[1].sum())

    def metrics(self, names: Iterable[str]) -> dict[str, float]:
        """The metrics of these names; NaN for an AUC of one class."""
        negatives, positives = self.classes
        hits, rejected, loss = (float(value) for value in self._sums)
        predicted = hits + negatives - rejected
        rows = max(negatives + positives, 1)
        values = {
            "auc": _auc(self._counts),
            "binary_accuracy": (hits + rejected) / rows,
            "binary_crossentropy": loss / rows,
            "precision": hits / max(predicted, 1),
            "recall": hits / max(positives, 1),
        }
        return {name: values[name] for name in names}


def require_scale(names: Iterable[str], scale: Scale | None, loss: str) -> None:
    """Refuse metrics of a model of which nobody said what its numbers are."""
    if names and scale is None:
        raise InvalidInputError(
            f"{', '.join(names)}: the loss {loss} does not tell whether the model gives probabilities or logits; say "
            "outputs='probabilities' or outputs='logits'"
        )


def as_logits(predictions: Array, scale: Scale | None) -> Array:
    """Predictions of shape (n,), of either scale, as logits.

    Raises
    ------
    InvalidInputError
        If there is a NaN, or what should be a probability is none.
    """
    missing = int(np.isnan(predictions).sum())
    if missing:
        raise InvalidInputError(
            f"{missing} of {len(predictions)} predictions are nan, which no metric can rank; look for a division by 0, "
            "a logarithm of 0 or too high a learning rate in the model"
        )
    if scale == "logits":
        return predictions
    outside = (predictions < 0) | (predictions > 1)
    if outside.any():
        raise InvalidInputError(
            f"the model predicts {predictions[np.argmax(outside)]:g}, which is no probability as its loss or outputs "
            "says; end it with a sigmoid, or compile it with a loss from logits (outputs='logits' for one of your own)"
        )
    return to_logits(predictions)


def to_logits(probabilities: Array) -> Array:
    """The logits of probabilities; of 0 and 1 the largest that float32 probabilities have."""
    p = probabilities.astype(np.float64)
    tiny = 1e-38
    logits: Array = np.log(np.maximum(p, tiny)) - np.log(np.maximum(1 - p, tiny))
    return logits


def _bins(logits: Array) -> NDArray[np.int64]:
    """The bins of numbers, in the numbers' order: exponent and upper mantissa of their float32 form are their place."""
    numbers = np.ascontiguousarray(logits, np.float32)
    size = (np.abs(numbers).view(np.uint32) >> (23 - _FRACTION)).astype(np.int64)
    size = np.clip(size - ((_LEAST + 127) << _FRACTION), 0, _SIDE)
    found: NDArray[np.int64] = _SIDE + np.where(numbers < 0, -size, size)
    return found


def _auc(counts: NDArray[np.int64]) -> float:
    negatives, positives = counts.sum(axis=1)
    if not negatives or not positives:
        return float("nan")
    below = np.cumsum(counts[0]) - counts[0]
    wins = (counts[1] * (below + counts[0] / 2)).sum()
    return float(wins / (float(negatives) * float(positives)))
