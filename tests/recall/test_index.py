"""Building, opening, tuning; string ids; what is refused."""

from __future__ import annotations

import threading

import faiss
import numpy as np
import pytest

from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.recall import IvfIndex
from friesian_fast.recall.build import default_nlist


def clustered(n, dim=16, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, dim)) * 3
    return (centres[rng.integers(20, size=n)] + rng.standard_normal((n, dim))).astype(np.float32)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "item_16.idx"
    return IvfIndex.build(clustered(4000), np.arange(4000) + 10**12, path=path)


@pytest.mark.parametrize("n", [1, 10, 38, 39, 500, 4000])
def test_any_catalogue_size_builds_quietly(tmp_path, n, capfd):
    vectors = clustered(n)
    index = IvfIndex.build(vectors, np.arange(n), path=tmp_path / "i.idx", metric="l2")
    ids, _ = index.search(vectors[:3], 1, nprobe=index.nlist)
    assert ids[:, 0].tolist() == list(range(min(n, 3)))
    assert len(index) == n
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_large_catalogue(tmp_path, capfd):
    vectors = clustered(100_000)
    index = IvfIndex.build(vectors, np.arange(100_000), path=tmp_path / "i.idx", metric="l2")
    assert index.nlist == 1265
    assert index.search(vectors[:50], 1)[0][:, 0].tolist() == list(range(50))
    assert capfd.readouterr().err == ""


def test_default_nlist():
    assert [default_nlist(n) for n in (1, 10, 78, 500, 4000, 100_000)] == [1, 1, 2, 12, 102, 1265]


def test_files(index):
    """The Faiss file holds the same ids; the layout stands beside it and nothing else is left."""
    assert sorted(path.name for path in index.path.parent.iterdir()) == ["item_16.idx", "item_16.ivf"]
    peer = faiss.read_index(str(index.path.with_suffix(".idx")))
    assert (peer.ntotal, peer.nlist, peer.d) == (len(index), index.nlist, index.dim)
    assert peer.search(clustered(1), 1)[1][0, 0] >= 10**12
    opened = IvfIndex.open(index.path, verify=True)
    assert (opened.metric, opened.string_ids, opened.dim) == ("ip", False, 16)


def test_same_seed_same_file(tmp_path):
    for name in ("a", "b"):
        IvfIndex.build(clustered(500), np.arange(500), path=tmp_path / f"{name}.idx", seed=7)
    assert (tmp_path / "a.ivf").read_bytes() == (tmp_path / "b.ivf").read_bytes()


def test_string_ids(tmp_path):
    vectors = clustered(300)
    names = ["", "é", *(f"item {i}" for i in range(298))]
    numbers = IvfIndex.build(vectors, np.arange(300), path=tmp_path / "n.idx")
    strings = IvfIndex.build(vectors, names, path=tmp_path / "s.idx")
    want, want_scores = numbers.search(vectors[:5], 301, nprobe=numbers.nlist)
    ids, scores = strings.search(vectors[:5], 301, nprobe=strings.nlist)
    assert strings.string_ids
    assert ids.shape == (5, 301)
    assert ids.tolist() == [[names[i] if i >= 0 else None for i in row] for row in want.tolist()]
    np.testing.assert_array_equal(scores, want_scores)


def test_zero_vectors_have_cosine_zero(tmp_path):
    vectors = np.array([[0, 0], [3, 4]], np.float32)
    index = IvfIndex.build(vectors, np.arange(2), path=tmp_path / "i.idx", metric="cosine")
    np.testing.assert_allclose(index.search(vectors, 2)[1], [[0, 0], [1, 0]], atol=1e-6)


def test_tune(index):
    queries = clustered(50, seed=1)
    nprobe, recall = index.tune(0.9, 20, queries=queries)
    exact, _ = index.search(queries, 20, nprobe=index.nlist)

    def measured(lists):
        found, _ = index.search(queries, 20, nprobe=lists)
        return np.mean([len(set(a) & set(b)) / 20 for a, b in zip(found.tolist(), exact.tolist(), strict=True)])

    assert recall == pytest.approx(measured(nprobe))
    assert recall >= 0.9
    assert nprobe == 1 or measured(nprobe - 1) < 0.9
    assert index.nprobe == IvfIndex.open(index.path, verify=True).nprobe == nprobe
    np.testing.assert_array_equal(index.search(queries, 20)[0], index.search(queries, 20, nprobe=nprobe)[0])
    assert index.tune(1.0, 20, queries=queries)[1] == 1.0


def test_empty_batch(index):
    ids, scores = index.search(np.empty((0, 16), np.float32), 3)
    assert ids.shape == scores.shape == (0, 3)


GOOD = np.zeros((2, 16), np.float32)
NAN = np.where(np.arange(32).reshape(2, 16) == 17, np.nan, 0).astype(np.float32)


@pytest.mark.parametrize(
    ("queries", "k", "nprobe", "message"),
    [
        (NAN, 1, None, "query 1 holds NaN or infinity at dimension 1"),
        (np.where(np.isnan(NAN), np.float32(-np.inf), GOOD), 1, None, "query 1 holds NaN or infinity"),
        (GOOD.astype(np.float64), 1, None, "must have dtype float32, got float64"),
        (GOOD[:, :8].copy(), 1, None, r"shape \(n, 16\), got shape \(2, 8\)"),
        (GOOD[0], 1, None, r"got shape \(16,\)"),
        (np.zeros((2, 32), np.float32)[:, ::2], 1, None, "C-contiguous"),
        (GOOD, 0, None, "k must be at least 1, got 0"),
        (GOOD, -1, None, "k must be at least 1, got -1"),
        (GOOD, 1, 0, r"nprobe must be in \[1, 102\], got 0"),
        (GOOD, 1, 103, r"nprobe must be in \[1, 102\], got 103"),
    ],
)
def test_search_rejects(index, queries, k, nprobe, message):
    with pytest.raises(InvalidInputError, match=message):
        index.search(queries, k, nprobe=nprobe)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vectors": np.zeros((3, 2))}, "vectors must be a float32 array of shape .n, d., got float64"),
        ({"vectors": np.zeros(3, np.float32)}, r"got float32 of shape \(3,\)"),
        ({"vectors": [[1.0]]}, "got list"),
        ({"vectors": np.zeros((0, 2), np.float32), "ids": np.arange(0)}, "no vectors to index"),
        ({"vectors": np.array([[0], [np.inf], [0]], np.float32)}, "vector 1 holds NaN or infinity"),
        ({"ids": np.arange(2)}, "there are 2 ids, but 3 vectors"),
        ({"ids": np.array([4, 5, 4])}, "id 4 is there twice"),
        ({"ids": ["a", "b", "b"]}, "id 'b' is there twice"),
        ({"ids": np.arange(3).reshape(3, 1)}, r"ids must have shape \(n,\), got \(3, 1\)"),
        ({"ids": ["a", "b", 3]}, "id 2 is 3"),
        ({"ids": np.zeros(3)}, "id 0 is 0.0"),
        ({"metric": "dot"}, "metric must be one of"),
        ({"nlist": 0}, r"nlist must be in \[1, 3\].* got 0"),
        ({"nlist": 4}, r"nlist must be in \[1, 3\].* got 4"),
        ({"path": "i.ivf"}, "must not end in .ivf"),
    ],
)
def test_build_rejects(tmp_path, change, message):
    arguments = {"vectors": np.eye(3, 2, dtype=np.float32), "ids": np.arange(3), "path": "i.idx"} | change
    arguments["path"] = tmp_path / arguments["path"]
    with pytest.raises(InvalidInputError, match=message):
        IvfIndex.build(arguments.pop("vectors"), arguments.pop("ids"), **arguments)
    assert list(tmp_path.iterdir()) == []


def test_tune_rejects(index):
    with pytest.raises(InvalidInputError, match=r"recall must be in \(0, 1\], got 0"):
        index.tune(0, queries=GOOD)
    with pytest.raises(InvalidInputError, match="at least one query"):
        index.tune(0.5, queries=np.empty((0, 16), np.float32))


def test_open_missing(tmp_path):
    with pytest.raises(NotFoundError, match=r"no index layout at .*none\.ivf"):
        IvfIndex.open(tmp_path / "none.ivf")


def test_threads(index):
    queries = clustered(20, seed=2)
    want = index.search(queries, 10)[0].tolist()
    wrong = []

    def run():
        wrong.extend(index.search(queries, 10)[0].tolist() != want for _ in range(20))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 60
    assert not any(wrong)
