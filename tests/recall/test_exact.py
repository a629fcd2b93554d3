"""Searches that compare everything answer what brute force over the given vectors answers, place by place."""

from __future__ import annotations

import numpy as np
import pytest
from tests.reference import ivf as reference

from friesian_fast.recall import Filter, IvfIndex
from friesian_fast.recall.build import _normalised

N, K = 1500, 40


def crowded(n, dim, seed):
    """Vectors so close to a few others that half precision cannot tell many of them apart."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((n // 100, dim))
    points = centres[rng.integers(len(centres), size=n)] * (1 + 1e-4 * rng.standard_normal((n, dim)))
    return (points * np.exp(rng.standard_normal(dim))).astype(np.float32)


@pytest.fixture(scope="module", params=[("ip", 16), ("ip", 33), ("cosine", 24), ("l2", 7), ("l2", 40)], ids=str)
def catalogue(request, tmp_path_factory):
    """An index that searches all by default, its vectors as the Faiss file has them, and queries."""
    metric, dim = request.param
    vectors = crowded(N, dim, 0)
    index = IvfIndex.build(vectors, np.arange(N), path=tmp_path_factory.mktemp("i") / "i.idx", metric=metric)
    queries = crowded(300, dim, 1)[:20]
    index.tune(1.0, K, queries=queries)
    return index, _normalised(vectors) if metric == "cosine" else vectors, queries


@pytest.mark.parametrize("share", [1.0, 0.3, 0.02])
def test_ids_are_those_of_brute_force(catalogue, level, share):
    index, vectors, queries = catalogue
    allowed = np.random.default_rng(2).random(N) < share
    scores = np.where(allowed, reference.scores(vectors, queries, index.metric), -np.inf)
    best = np.argsort(-scores, axis=1)[:, :K]
    best_scores = np.take_along_axis(scores, best, axis=1)
    condition = None if share == 1 else Filter(allow=np.flatnonzero(allowed))
    for nprobe in (None, index.nlist):
        found, found_scores = index.search(queries, K, nprobe=nprobe, filter=condition, level=level)
        missing = np.isinf(best_scores)
        np.testing.assert_array_equal(found, np.where(missing, -1, best))
        np.testing.assert_allclose(found_scores, best_scores, rtol=2e-7, atol=1e-35)


def test_half_precision_alone_would_not_do(catalogue):
    """Else the test above would show nothing."""
    index, vectors, queries = catalogue
    unit = np.abs(vectors).max() / 16384
    half = (vectors / unit).astype(np.float16).astype(np.float32) * unit
    truth, rounded = (np.argsort(-reference.scores(v, queries, index.metric), axis=1)[:, :K] for v in (vectors, half))
    assert (truth != rounded).mean() > 0.1


@pytest.mark.parametrize("metric", ["ip", "cosine", "l2"])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_whatever_stands_in_the_vectors(tmp_path, level, metric, scale):
    """Numbers of very different sizes, zeros, equal vectors: scores are right to single precision."""
    rng = np.random.default_rng(3)
    vectors = (rng.standard_normal((300, 9)) * 10.0 ** rng.integers(-9, 3, (300, 9)) * scale).astype(np.float32)
    vectors[rng.random((300, 9)) < 0.2] = 0
    vectors[200:] = vectors[:100]
    queries = (vectors[::7] * rng.uniform(0.5, 2, (43, 9))).astype(np.float32)
    index = IvfIndex.build(vectors, np.arange(300), path=tmp_path / "i.idx", metric=metric, nlist=3)
    found, scores = index.search(queries, 20, nprobe=3, level=level)
    stored = _normalised(vectors) if metric == "cosine" else vectors
    true = reference.scores(stored, queries, metric)
    tolerance = 1e-6 * np.abs(true).max(axis=1, keepdims=True) + 1e-37
    assert (np.abs(scores + np.sort(-true, axis=1)[:, :20]) < tolerance).all()
    assert (np.abs(scores - np.take_along_axis(true, found, axis=1)) < tolerance).all()
