"""Weights rounded to int8 such that what a product answers moves little."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MOST = 127
# Of the mean square of an input: in directions that no request showed, rounding to the nearest is best.
_DAMPING = 0.01
_BLOCK = 128  # weights of an output whose errors are made up for at once outside of the block


def rounded(
    weights: NDArray[np.float32], moments: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round the weights of a product; those still to be rounded make up for the errors of those that are.

    GPTQ (Frantar, Ashkboos, Hoefler and Alistarh, 2022): the error of the outputs is that of the weights, weighted by
    the inputs' second moments. Inputs that go together can make up for each other, and after a layer of a recommender
    many do: its own inputs are few.

    Parameters
    ----------
    weights : array of float32, shape (k, n)
    moments : array of float32, shape (k, k), optional
        Sums of the products of each two inputs over real rows. Without them, or where float32 could not hold them,
        each weight goes to its nearest.

    Returns
    -------
    codes : array of int8, shape (k, n)
        From -127 to 127.
    steps : array of float32, shape (n,)
        ``codes * steps`` stands for the weights.
    """
    steps = np.abs(weights).max(axis=0) / np.float32(_MOST)
    steps[steps == 0] = 1
    scaled = (weights / steps).astype(np.float32)
    if moments is None or not np.isfinite(moments).all():
        return _nearest(scaled), steps
    passed_on = _passed_on(moments)
    codes = np.empty(weights.shape, np.int8)
    for start in range(0, len(weights), _BLOCK):
        end = min(start + _BLOCK, len(weights))
        errors = np.empty((end - start, weights.shape[1]), np.float32)
        for row in range(start, end):
            codes[row] = _nearest(scaled[row])
            errors[row - start] = (scaled[row] - codes[row]) / passed_on[row, row]
            scaled[row + 1 : end] -= np.outer(passed_on[row, row + 1 : end], errors[row - start])
        scaled[end:] -= passed_on[start:end, end:].T @ errors
    return codes, steps


def _nearest(values: NDArray[np.float32]) -> NDArray[np.int8]:
    codes: NDArray[np.int8] = np.clip(np.rint(values), -_MOST, _MOST).astype(np.int8)
    return codes


def _passed_on(moments: NDArray[np.float32]) -> NDArray[np.float32]:
    """The upper triangle: how much of a weight's error each later weight takes, times the diagonal."""
    damped = moments.astype(np.float64)
    mean = float(np.mean(np.diag(damped)))
    damped[np.diag_indices_from(damped)] += _DAMPING * mean if mean > 0 else 1.0
    factor: NDArray[np.float32] = np.linalg.cholesky(np.linalg.inv(damped)).T.astype(np.float32)
    return factor
