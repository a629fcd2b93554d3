"""The vectors of the search benchmarks: a clustered mixture that is neither easy nor hopeless for inverted lists.

2000 Gaussians with Zipf weights; each spreads over 16 directions of its own and a little over all; normalised. Queries come from
the same mixture with more noise. Everything follows from the seed; `fingerprint` says whether two machines have the same data.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

SEED = 20261126
CLUSTERS, INTRINSIC = 2000, 16
SPREAD, NOISE, QUERY_NOISE = 1.0, 0.02, 0.03


def load(n: int, queries: int, dim: int = 128) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`n` vectors and `queries` queries, float32, normalised."""
    rng = np.random.default_rng(SEED)
    centres = rng.standard_normal((CLUSTERS, dim), dtype=np.float32) / np.sqrt(dim)
    directions = rng.standard_normal((CLUSTERS, INTRINSIC, dim), dtype=np.float32) / np.sqrt(dim * INTRINSIC)
    weights = 1 / np.arange(1, CLUSTERS + 1) ** 0.7
    counts = rng.multinomial(n, weights / weights.sum())
    vectors = _draw(rng, np.repeat(np.arange(CLUSTERS), counts), centres, directions, NOISE)
    asked = rng.choice(CLUSTERS, queries, p=weights / weights.sum())
    return vectors[rng.permutation(n)], _draw(rng, asked, centres, directions, QUERY_NOISE)


def _draw(
    rng: np.random.Generator,
    cluster: NDArray[np.int64],
    centres: NDArray[np.float32],
    directions: NDArray[np.float32],
    noise: float,
) -> NDArray[np.float32]:
    out = np.empty((len(cluster), centres.shape[1]), np.float32)
    for begin in range(0, len(cluster), 4096):
        part = cluster[begin : begin + 4096]
        inner = SPREAD * rng.standard_normal((len(part), INTRINSIC), dtype=np.float32)
        points = centres[part] + np.einsum("ni,nid->nd", inner, directions[part])
        points += noise * rng.standard_normal(points.shape, dtype=np.float32)
        out[begin : begin + 4096] = points / np.linalg.norm(points, axis=1, keepdims=True)
    return out


def fingerprint(*arrays: NDArray[np.float32]) -> str:
    """SHA-256 of the arrays' bytes, one after the other."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()
