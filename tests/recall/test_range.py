"""Finite numbers that are too large: refused by name, or answered rightly."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from tests.reference import ivf as reference

from friesian_fast.errors import InvalidInputError
from friesian_fast.recall import IvfIndex

VECTORS = np.random.default_rng(0).standard_normal((2000, 16)).astype(np.float32)
QUERIES = np.random.default_rng(1).standard_normal((5, 16)).astype(np.float32)


def with_one_of(value):
    vectors = VECTORS.copy()
    vectors[1234] = value
    return vectors


@pytest.fixture(scope="module", params=["ip", "cosine", "l2"])
def index(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "i.idx"
    return IvfIndex.build(VECTORS, np.arange(2000), path=path, metric=request.param)


@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("value", [3e17, 1e20, 1e25, 3e37])
def test_one_vector_too_long(tmp_path, metric, value):
    """Faiss's training would end the process."""
    norm = f"{4 * value:.3g}".replace("+", r"\+")
    with pytest.raises(InvalidInputError, match=f"vector 1234 has norm {norm}; above 1e\\+18 scores leave float32"):
        IvfIndex.build(with_one_of(value), np.arange(2000), path=tmp_path / "i.idx", metric=metric)
    assert list(tmp_path.iterdir()) == []


def test_one_vector_too_long_in_a_faiss_index(tmp_path):
    peer = faiss.index_factory(16, "IVF4,Flat", faiss.METRIC_INNER_PRODUCT)
    peer.train(VECTORS)
    peer.add(with_one_of(1e20))
    with pytest.raises(InvalidInputError, match=r"has norm 4e\+20; above"):
        IvfIndex.from_faiss(peer, path=tmp_path / "i.ivf")


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_the_longest_vectors_that_are_taken(tmp_path, metric):
    vectors = VECTORS * np.float32(1e17)
    index = IvfIndex.build(vectors, np.arange(2000), path=tmp_path / "i.idx", metric=metric)
    want = np.argsort(-reference.scores(VECTORS, VECTORS[:5], metric), axis=1)[:, 0]
    for depth in ({"nprobe": index.nlist}, {"nprobe": index.nlist, "rerank": 200}, {"nprobe": 20}):
        ids, scores = index.search(vectors[:5], 10, **depth)
        assert np.isfinite(scores).all()
        assert ids[:, 0].tolist() == want.tolist()


def test_cosine_takes_any_length(tmp_path):
    """Of vectors and of queries: only directions count."""
    scales = np.float32(10.0) ** np.arange(-30, 36, dtype=np.float32)
    vectors = VECTORS * np.resize(scales, 2000)[:, None]
    index = IvfIndex.build(vectors, np.arange(2000), path=tmp_path / "i.idx", metric="cosine")
    want, want_scores = index.search(QUERIES, 10)
    for scale in (1e-30, 1e10, 1e37):
        ids, scores = index.search(QUERIES * np.float32(scale), 10)
        np.testing.assert_allclose(scores, want_scores, rtol=1e-5)
        assert ids.tolist() == want.tolist()


@pytest.mark.parametrize("scale", [1e5, 1e9, 1e15, 1e17, 1e19, 1e25, 1e30, 1e33, 1e35, 1e37])
def test_long_queries_are_answered_or_refused(index, scale):
    """As near to the truth as a query of usual length, at every depth."""
    queries = QUERIES * np.float32(scale)
    want = np.argsort(-reference.scores(VECTORS, QUERIES, "cosine" if index.metric == "cosine" else "ip"))[:, :10]
    refused = (index.metric == "ip" and scale >= 1e33) or (index.metric == "l2" and scale > 1e5)
    for depth in ({"nprobe": index.nlist}, {"nprobe": index.nlist, "rerank": 200}):
        if refused:
            with pytest.raises(InvalidInputError, match=r"query 0 has norm .* vectors' largest is 6\.\d+: above"):
                index.search(queries, 10, **depth)
            continue
        ids, scores = index.search(queries, 10, **depth)
        assert np.isfinite(scores).all()
        hits = sum(len(set(a) & set(b)) for a, b in zip(ids.tolist(), want.tolist(), strict=True))
        assert hits >= 0.9 * want.size


@pytest.mark.parametrize("index", ["ip", "cosine"], indirect=True)  # with L2 it does
@pytest.mark.parametrize("power", [20, 3, -3, -10, -20, -60, -100])
@pytest.mark.parametrize("depth", [{}, {"nprobe": 2}, {"nprobe": 3, "margin": 0.3}])
def test_the_length_of_a_query_changes_no_order(index, power, depth):
    """Powers of two, which round nothing: the same items, their scores as many times as large."""
    ids, scores = index.search(QUERIES, 10, **depth)
    again, scaled = index.search(QUERIES * np.float32(2.0**power), 10, **depth)
    np.testing.assert_array_equal(again, ids)
    np.testing.assert_array_equal(scaled, scores if index.metric == "cosine" else scores * np.float32(2.0**power))


def test_the_query_is_named(index):
    queries = QUERIES.copy()
    queries[3] = np.float32(3e38)
    if index.metric == "cosine":
        assert np.isfinite(index.search(queries, 5)[1]).all()
        return
    with pytest.raises(InvalidInputError, match=r"query 3 has norm 1.2e\+39"):
        index.search(queries, 5)


@pytest.mark.parametrize("factor", [1e-6, 1e-2, 1, 1e3])
@pytest.mark.parametrize("metric", ["ip", "cosine", "l2"])
def test_the_length_of_all_vectors_changes_nothing(tmp_path, metric, factor):
    """A power of two nearby, which rounds nothing: the same items at the same depth, so tuning picks the same."""
    factor = np.float32(2.0 ** round(np.log2(factor)))
    answers = []
    for scale in (np.float32(1), factor):
        index = IvfIndex.build(VECTORS * scale, np.arange(2000), path=tmp_path / "i.idx", metric=metric, nlist=20)
        ids, _ = index.search(QUERIES * scale, 10, nprobe=4, rerank=20)
        answers.append(ids)
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_all_vectors_zero(tmp_path, metric):
    """No row is long, and yet there is nothing to refuse."""
    index = IvfIndex.build(np.zeros((50, 4), np.float32), np.arange(50), path=tmp_path / "i.idx", metric=metric)
    ids, scores = index.search(np.full((1, 4), 1e15, np.float32), 3)
    assert ids.tolist() == [[0, 1, 2]]
    assert np.isfinite(scores).all()
