"""Search against brute force and against Faiss, at every level."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from tests.reference import ivf as reference

from friesian_fast import _core
from friesian_fast.recall import IvfIndex

METRICS = ["ip", "cosine", "l2"]
# Around the widths of the registers, 8 and 16 lanes.
DIMS = [1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100]
levels = pytest.mark.parametrize("level", _core.runnable_simd_levels())


def data_of(n, dim, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, dim), dtype=np.float32), rng.standard_normal((9, dim), dtype=np.float32)


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
        np.testing.assert_allclose(got_scores[0], [*sorted(scores, reverse=True), -np.inf], rtol=1e-6)
        assert got_ids[0, 0] == ids[0] or metric == "cosine"
        assert got_ids[0, 3] == -1


@levels
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", DIMS)
def test_all_lists_are_brute_force(tmp_path, level, metric, dim):
    vectors, queries = data_of(301, dim)
    index = IvfIndex.build(vectors, np.arange(301), path=tmp_path / "i.idx", metric=metric, nlist=7)
    ids, scores = index.search(queries, 20, nprobe=7, level=level)
    exact = reference.scores(vectors, queries, metric)
    np.testing.assert_allclose(scores, -np.sort(-exact, axis=1)[:, :20], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.take_along_axis(exact, ids, axis=1), scores, rtol=1e-4, atol=1e-4)
    assert all(len(set(row)) == 20 for row in ids.tolist())


@levels
@pytest.mark.parametrize("metric", METRICS)
def test_same_lists_as_faiss(tmp_path, level, metric):
    """At the same nprobe Faiss, reading the file beside the layout, finds the same."""
    vectors, queries = data_of(4000, 24)
    index = IvfIndex.build(vectors, np.arange(4000) * 3 + 1, path=tmp_path / "i.idx", metric=metric)
    peer = faiss.read_index(str(tmp_path / "i.idx"))
    asked = queries / np.linalg.norm(queries, axis=1, keepdims=True) if metric == "cosine" else queries
    for nprobe in (1, 2, 9, index.nlist):
        peer.nprobe = nprobe
        distances, want = peer.search(asked, 50)
        ids, scores = index.search(queries, 50, nprobe=nprobe, level=level)
        found = want >= 0  # Faiss fills up with the largest float, not infinity
        assert ((ids >= 0) == found).all()
        signed = -distances if metric == "l2" else distances
        np.testing.assert_allclose(scores[found], signed[found], rtol=1e-4, atol=1e-4)
        # Equal up to neighbours whose scores differ by rounding only.
        lost = [len(set(b) - set(a)) for a, b in zip(ids.tolist(), want.tolist(), strict=True)]
        assert sum(lost) <= 2


@levels
def test_ties_go_by_position(tmp_path, level):
    """All vectors equal: the first k positions, whatever k is and however often the best are cut."""
    vectors = np.ones((1500, 5), np.float32)
    index = IvfIndex.build(vectors, np.arange(1500), path=tmp_path / "i.idx", nlist=1)
    for k in (1, 2, 100, 700, 1500):
        ids, scores = index.search(np.ones((1, 5), np.float32), k, level=level)
        assert ids[0].tolist() == list(range(k))
        assert set(scores[0].tolist()) == {5.0}


@levels
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 15, 16, 17, 255, 256, 257, 513])
def test_short_lists(tmp_path, level, n):
    """List lengths around the four rows of a turn, the 16 scores of a register, the block of 256."""
    vectors, queries = data_of(n, 6)
    index = IvfIndex.build(vectors, np.arange(n), path=tmp_path / "i.idx", nlist=1)
    ids, scores = index.search(queries, n + 3, level=level)
    assert np.sort(ids[:, :n], axis=1).tolist() == [list(range(n))] * len(queries)
    assert (ids[:, n:] == -1).all()
    assert np.isneginf(scores[:, n:]).all()
    assert (np.diff(scores[:, :n], axis=1) <= 0).all()


@levels
def test_all_scores_falling_and_rising(tmp_path, level):
    """The order of arrival that keeps least and most candidates gives the same best."""
    values = np.arange(3000, dtype=np.float32)
    for order in (values, values[::-1]):
        vectors = np.ascontiguousarray(order[:, None])
        index = IvfIndex.build(vectors, np.arange(3000), path=tmp_path / "i.idx", nlist=1)
        ids, scores = index.search(np.ones((1, 1), np.float32), 10, level=level)
        assert scores[0].tolist() == list(range(2999, 2989, -1))
        assert order[ids[0]].tolist() == scores[0].tolist()
