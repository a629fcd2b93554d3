"""The vectors of the search benchmarks: a clustered mixture that is neither easy nor hopeless for inverted lists.

2000 Gaussians with Zipf weights; each spreads over 16 directions of its own and a little over all; normalised.
Queries come from the same mixture with more noise. Everything follows from the seed and NumPy's generator; where the
digest of a size is known, a machine that draws other vectors says so.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

SEED = 20261126
CLUSTERS, INTRINSIC = 2000, 16
SPREAD, NOISE, QUERY_NOISE = 1.5, 0.06, 0.08
DIGESTS = {  # of vectors and queries, by how many of each and their dimension
    (1_000_000, 1000, 128): "d3e51b6d0c9a4bb32f4ad04e6dcc0560ea9e05d62696b163adb924ecb03f1e95",
}


def load(n: int, queries: int, dim: int = 128) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`n` vectors and `queries` queries, float32, normalised; ValueError if they are not those of `DIGESTS`."""
    rng = np.random.default_rng(SEED)
    centres = rng.standard_normal((CLUSTERS, dim), dtype=np.float32) / np.sqrt(dim)
    directions = rng.standard_normal((CLUSTERS, INTRINSIC, dim), dtype=np.float32) / np.sqrt(dim * INTRINSIC)
    weights = 1 / np.arange(1, CLUSTERS + 1) ** 0.7
    counts = rng.multinomial(n, weights / weights.sum())
    vectors = _draw(rng, np.repeat(np.arange(CLUSTERS), counts), centres, directions, NOISE)
    vectors = vectors[rng.permutation(n)]
    rng = np.random.default_rng(SEED + 1)
    asked = rng.choice(CLUSTERS, queries, p=weights / weights.sum())
    drawn = vectors, _draw(rng, asked, centres, directions, QUERY_NOISE)
    digest, known = fingerprint(*drawn), DIGESTS.get((n, queries, dim))
    if known is not None and digest != known:
        raise ValueError(f"sha256 of the vectors is {digest}, not {known}: another NumPy, or other rounding")
    return drawn


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
