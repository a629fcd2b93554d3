"""Exact nearest neighbours, slowly: every score in double precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def scores(vectors: NDArray[np.float32], queries: NDArray[np.float32], metric: str) -> NDArray[np.float64]:
    """Scores of every query with every vector; more is better."""
    wide, asked = vectors.astype(np.float64), queries.astype(np.float64)
    if metric == "l2":
        return -np.array([((wide - query) ** 2).sum(axis=1) for query in asked])
    if metric == "cosine":
        wide, asked = _unit(wide), _unit(asked)
    return asked @ wide.T


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
