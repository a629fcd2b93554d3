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


def probed_lists(
    centroids: NDArray[np.float32], query: NDArray[np.float32], metric: str, nprobe: int, margin: float
) -> list[int]:
    """The best `nprobe` lists, of which a margin leaves out those too far beyond the mean of the best four."""
    wide, asked = centroids.astype(np.float64), query.astype(np.float64)
    if metric == "cosine":
        asked = _unit(asked[None])[0]
    closeness = wide @ asked
    if metric == "l2":  # as a half squared distance goes, but for what all have in common
        closeness -= (wide**2).sum(axis=1) / 2
    best = sorted(range(len(wide)), key=lambda i: (-closeness[i], i))
    lead = np.mean([closeness[i] for i in best[:4]])
    length = np.linalg.norm(asked)
    if metric == "l2":

        def is_near(at: float) -> bool:
            return distance(at) <= distance(lead) + margin

        def distance(at: float) -> float:
            return float(np.sqrt(max(length**2 - 2 * at, 0)))
    else:

        def is_near(at: float) -> bool:
            return at >= lead - margin * length

    return sorted(i for i in best[:nprobe] if margin == 0 or is_near(closeness[i]))
