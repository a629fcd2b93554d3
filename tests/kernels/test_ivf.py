"""Search against brute force and against Faiss, at every level."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.reference import ivf as reference

from friesian_fast import _core
from friesian_fast.recall import Filter, IvfIndex

METRICS = ["ip", "cosine", "l2"]
# Around the two dimensions of a code, the eight of a quad of codes, and the registers of 8 and 16 lanes.
DIMS = [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 128]
# Half precision keeps what data_of gives, but for the division by the norm.
TOLERANCE = {"ip": 1e-4, "l2": 1e-4, "cosine": 1e-3}
levels = pytest.mark.parametrize("level", _core.runnable_simd_levels())


def data_of(n, dim, seed=0):
    """Vectors of numbers that half precision holds, and nine queries."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, dim)).astype(np.float16).astype(np.float32)
    return vectors, rng.standard_normal((9, dim), dtype=np.float32)


def test_known_answer(tmp_path):
    vectors = np.array([[1, 0], [0, 1], [3, 4]], np.float32)
    query = np.array([[2, 1]], np.float32)
    expected = {
        "ip": ([30, 10, 20], [10, 2, 1]),
        "cosine": ([10, 30, 20], [2 / 5**0.5, 10 / 5 / 5**0.5, 1 / 5**0.5]),
        "l2": ([10, 20, 30], [-2, -4, -10]),
    }
    for metric, (ids, scores) in expected.items():
        index = IvfIndex.build(vectors, np.array([10, 20, 30]), path=tmp_path / "i.idx", metric=metric)
        got_ids, got_scores = index.search(query, 4)
        assert sorted(got_ids[0, :3].tolist()) == sorted(ids)
        np.testing.assert_allclose(got_scores[0], [*sorted(scores, reverse=True), -np.inf], rtol=1e-3)
        assert got_ids[0, 0] == ids[0] or metric == "cosine"
        assert got_ids[0, 3] == -1


def check_against_brute_force(index, vectors, queries, metric, k, **depth):
    ids, scores = index.search(queries, k, **depth)
    exact = reference.scores(vectors, queries, metric)
    tolerance = {"rtol": TOLERANCE[metric], "atol": TOLERANCE[metric]}
    np.testing.assert_allclose(scores, -np.sort(-exact, axis=1)[:, :k], **tolerance)
    np.testing.assert_allclose(np.take_along_axis(exact, ids, axis=1), scores, **tolerance)
    assert all(len(set(row)) == k for row in ids.tolist())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", DIMS)
def test_all_lists_are_brute_force(tmp_path, metric, dim):
    """With every list and every row compared, by codes first or without them, at every level."""
    vectors, queries = data_of(301, dim)
    index = IvfIndex.build(vectors, np.arange(301), path=tmp_path / "i.idx", metric=metric, nlist=7)
    for level in _core.runnable_simd_levels():
        for depth in ({"nprobe": 7}, {"nprobe": 7, "rerank": 301}):
            check_against_brute_force(index, vectors, queries, metric, 20, level=level, **depth)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", DIMS)
def test_levels_have_the_same_candidates(tmp_path, metric, dim):
    """When as many are answered as are compared, the answer is the candidates, and codes choose those in integers."""
    vectors, queries = data_of(900, dim, seed=dim)
    index = IvfIndex.build(vectors, np.arange(900), path=tmp_path / "i.idx", metric=metric, nlist=20)
    want_ids, want_scores = index.search(queries, 40, nprobe=6, rerank=40, level="scalar")
    for level in _core.runnable_simd_levels():
        ids, scores = index.search(queries, 40, nprobe=6, rerank=40, level=level)
        assert np.sort(ids, axis=1).tolist() == np.sort(want_ids, axis=1).tolist()
        np.testing.assert_allclose(scores, want_scores, rtol=1e-5, atol=1e-5)


@levels
@pytest.mark.parametrize("metric", METRICS)
def test_same_lists_as_faiss(tmp_path, level, metric):
    """At the same nprobe, and all of their rows compared, Faiss finds the same in its own file."""
    vectors, queries = data_of(4000, 24)
    index = IvfIndex.build(vectors, np.arange(4000) * 3 + 1, path=tmp_path / "i.idx", metric=metric)
    peer = faiss.read_index(str(tmp_path / "i.idx"))
    asked = queries / np.linalg.norm(queries, axis=1, keepdims=True) if metric == "cosine" else queries
    # Lists of vectors without clusters are hard to tell apart: the eight bits of a centroid's number may take another.
    for nprobe, share in ((1, 0.2), (9, 0.03), (index.nlist, 0.005)):
        peer.nprobe = nprobe
        want = peer.search(asked, 50)[1]
        ids, _ = index.search(queries, 50, nprobe=nprobe, rerank=4000, level=level)
        lost = [len(set(b) - set(a)) for a, b in zip(ids.tolist(), want.tolist(), strict=True)]
        assert sum(lost) <= share * want.size


@levels
@pytest.mark.parametrize("metric", METRICS)
def test_codes_find_the_best(tmp_path, level, metric):
    """Few rows compared, of clustered vectors: nearly all of what the probed lists hold of the best is found."""
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((40, 32)) * 2
    vectors = (centres[rng.integers(40, size=6000)] + rng.standard_normal((6000, 32))).astype(np.float32)
    queries = (centres[rng.integers(40, size=50)] + rng.standard_normal((50, 32))).astype(np.float32)
    index = IvfIndex.build(vectors, np.arange(6000), path=tmp_path / "i.idx", metric=metric)
    want, _ = index.search(queries, 10, nprobe=20, rerank=6000)
    got, _ = index.search(queries, 10, nprobe=20, rerank=100, level=level)
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(got.tolist(), want.tolist(), strict=True)]) > 0.97


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(1, 70),
    dim=st.integers(1, 20),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    metric=st.sampled_from(METRICS),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_any_shape_and_scale(tmp_path, n, dim, scale, metric, seed, data):
    """Coarse values make ties; a scale far from one must not leave the range of the codes or of half precision."""
    rng = np.random.default_rng(seed)
    vectors = (rng.integers(-3, 4, (n, dim)) * scale).astype(np.float32)
    queries = (rng.integers(-3, 4, (3, dim)) * scale).astype(np.float32)
    nlist, k = data.draw(st.integers(1, n)), data.draw(st.integers(1, n))
    index = IvfIndex.build(vectors, np.arange(n), path=tmp_path / "i.idx", metric=metric, nlist=nlist)
    exact = reference.scores(vectors, queries, metric)
    size = np.abs(exact).max() if metric != "l2" else 36 * dim * scale**2
    for depth in ({"nprobe": nlist}, {"nprobe": nlist, "rerank": n}):
        ids, scores = index.search(queries, k, **depth)
        best = -np.sort(-exact, axis=1)[:, :k]
        np.testing.assert_allclose(scores, best, rtol=1e-3, atol=1e-3 * size)
        np.testing.assert_allclose(np.take_along_axis(exact, ids, axis=1), scores, rtol=1e-3, atol=1e-3 * size)
        assert all(len(set(row)) == k for row in ids.tolist())


@levels
def test_ties_go_by_position(tmp_path, level):
    """All vectors equal: the first k positions, whatever k is and however often the best are cut."""
    vectors = np.ones((1500, 5), np.float32)
    index = IvfIndex.build(vectors, np.arange(1500), path=tmp_path / "i.idx", nlist=1)
    for k in (1, 2, 100, 700, 1500):
        for rerank in (None, k):
            ids, scores = index.search(np.ones((1, 5), np.float32), k, rerank=rerank, level=level)
            assert ids[0].tolist() == list(range(k))
            assert set(scores[0].tolist()) == {5.0}


@levels
@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 127, 128, 129, 255, 256, 257])
def test_short_lists(tmp_path, level, n):
    """List lengths around the 32 rows of a block, and the four blocks of a turn."""
    vectors, queries = data_of(n, 6)
    index = IvfIndex.build(vectors, np.arange(n), path=tmp_path / "i.idx", nlist=1)
    for rerank in (None, n + 3):
        ids, scores = index.search(queries, n + 3, rerank=rerank, level=level)
        assert np.sort(ids[:, :n], axis=1).tolist() == [list(range(n))] * len(queries)
        assert (ids[:, n:] == -1).all()
        assert np.isneginf(scores[:, n:]).all()
        assert (np.diff(scores[:, :n], axis=1) <= 0).all()


@levels
def test_all_scores_falling_and_rising(tmp_path, level):
    """The order of arrival that keeps least and most candidates gives the same best."""
    values = np.arange(2000, dtype=np.float32)
    for order in (values, values[::-1]):
        vectors = np.ascontiguousarray(order[:, None])  # half precision holds whole numbers up to 2048
        index = IvfIndex.build(vectors, np.arange(2000), path=tmp_path / "i.idx", nlist=1)
        ids, scores = index.search(np.ones((1, 1), np.float32), 10, level=level)
        assert scores[0].tolist() == list(range(1999, 1989, -1))
        assert order[ids[0]].tolist() == scores[0].tolist()


@levels
def test_many_answers(tmp_path, level):
    """k of 10,000, more than a thread's first buffers; and a list longer than everything else."""
    rng = np.random.default_rng(3)
    vectors = np.concatenate([np.full((9000, 8), 0.5, np.float32), rng.standard_normal((3000, 8), dtype=np.float32)])
    index = IvfIndex.build(vectors, np.arange(12_000), path=tmp_path / "i.idx", nlist=30)
    ids, scores = index.search(vectors[9000:9003], 10_000, nprobe=29, rerank=10_000, level=level)
    assert all(len(set(row) - {-1}) == sum(i >= 0 for i in row) > 8000 for row in ids.tolist())
    assert (np.diff(np.where(np.isneginf(scores), -99, scores), axis=1) <= 0).all()


def test_empty_lists(tmp_path):
    """Of 50 lists over three distinct vectors most are empty."""
    vectors = np.repeat(np.eye(3, dtype=np.float32), 100, axis=0)
    index = IvfIndex.build(vectors, np.arange(300), path=tmp_path / "i.idx", nlist=50)
    for nprobe in range(1, 51):
        ids, scores = index.search(vectors[150:151], 100, nprobe=nprobe, rerank=100)
        if nprobe >= 48:
            assert ids[0].tolist() == list(range(100, 200))
        assert ((scores == 1) | (scores == 0) | np.isneginf(scores)).all()


def test_threads_share_a_batch(tmp_path):
    vectors, _ = data_of(2000, 12)
    index = IvfIndex.build(vectors, np.arange(2000), path=tmp_path / "i.idx")
    want_ids, want_scores = index.search(vectors[:33], 10)
    for threads in (2, 3, 50):
        ids, scores = index.search(vectors[:33], 10, threads=threads)
        np.testing.assert_array_equal(ids, want_ids)
        np.testing.assert_array_equal(scores, want_scores)


@pytest.mark.parametrize("metric", ["ip", "cosine", "l2"])
def test_a_batch_answers_what_its_queries_answer_alone(level, tmp_path, metric):
    """Lists are scanned once for all queries of a batch that probe them: near queries share nearly all."""
    vectors, _ = data_of(5000, 20)
    queries = np.concatenate([vectors[:100] + np.float32(0.25), vectors[:1].repeat(10, axis=0)])
    index = IvfIndex.build(vectors, np.arange(5000), path=tmp_path / "i.idx", metric=metric, nlist=60)
    seen = [np.arange(n, 5000, 7) for n in range(len(queries))]
    for nprobe, rerank, condition in ((1, 60, None), (9, 90, None), (60, 50, None), (9, 90, Filter(seen=seen))):
        together = index.search(queries, 10, nprobe=nprobe, rerank=rerank, filter=condition, level=level)
        for i, query in enumerate(queries):
            own = None if condition is None else Filter(seen=seen[i : i + 1])
            alone = index.search(query[None], 10, nprobe=nprobe, rerank=rerank, filter=own, level=level)
            np.testing.assert_array_equal(alone[0][0], together[0][i])
            np.testing.assert_array_equal(alone[1][0], together[1][i])
