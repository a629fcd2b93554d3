"""Weights from item to item, out of who bought what: EASE^R and item-kNN."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg


def gram(counts: Any) -> NDArray[np.float32]:
    """How much each two items have in common: ``X'X``, float32 of shape (items, items).

    Parameters
    ----------
    counts : scipy sparse array of float32, shape (users, items)
        X.
    """
    products: NDArray[np.float32] = (counts.T @ counts).toarray().astype(np.float32, copy=False)
    return products


def ease(products: NDArray[np.float32], penalty: float) -> NDArray[np.float32]:
    """Linear weights that rebuild each user's row without an item's own column.

    Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019: with ``P = inv(X'X + penalty I)``, the
    weights are ``-P[i, j] / P[j, j]``, and 0 where i = j.

    Parameters
    ----------
    products : ndarray of float32, shape (items, items)
        ``X'X``, see `gram`; stays as it is.
    penalty : float
        Above 0.

    Returns
    -------
    ndarray of float32, shape (items, items)
        A user's scores are ``X[user] @ weights``.
    """
    matrix = np.array(products, np.float32, order="F")
    matrix[np.diag_indices_from(matrix)] += np.float32(penalty)
    factor = linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    inverse, _ = linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
    inverse += np.tril(inverse, -1).T  # LAPACK fills one triangle; the other is 0
    # Of a symmetric matrix the transpose is the same, and its rows lie together.
    weights: NDArray[np.float32] = inverse.T / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights


def item_knn(
    products: NDArray[np.float32], shrink: float, neighbours: int, *, itself: bool = False
) -> NDArray[np.float32]:
    """Shrunk cosines of the items' columns, for each item those of its nearest.

    Parameters
    ----------
    products : ndarray of float32, shape (items, items)
        ``X'X``, see `gram`; stays as it is.
    shrink : float
        Added to the product of the lengths: what few users have in common counts less.
    neighbours : int
        How many of each column are kept; the others are 0.
    itself : bool, default False
        Whether an item is a neighbour of itself: then what a user had is proposed again.

    Returns
    -------
    ndarray of float32, shape (items, items)
    """
    lengths = np.sqrt(np.diag(products))
    cosines: NDArray[np.float32] = products / np.maximum(np.outer(lengths, lengths) + np.float32(shrink), 1e-6)
    if not itself:
        np.fill_diagonal(cosines, 0.0)
    if neighbours < len(cosines):
        least = np.partition(cosines, -neighbours, axis=0)[-neighbours]
        cosines[cosines < least] = 0.0
    return cosines
