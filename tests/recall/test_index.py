"""Building, opening, tuning; string ids; what is refused."""

from __future__ import annotations

import threading

import faiss
import numpy as np
import pytest

from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.recall import IvfIndex
from friesian_fast.recall.build import default_nlist
from friesian_fast.recall.tuning import DEPTHS, Sizes, choose, steps


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
    assert index.search(vectors[:50], 1, nprobe=index.nlist)[0][:, 0].tolist() == list(range(50))
    assert capfd.readouterr().err == ""


def test_default_nlist():
    assert [default_nlist(n) for n in (1, 10, 78, 500, 4000, 100_000)] == [1, 1, 2, 12, 102, 1265]


def test_files(index):
    """The Faiss file holds the same ids; the layout stands beside it and nothing else is left."""
    assert sorted(path.name for path in index.path.parent.iterdir()) == ["item_16.idx", "item_16.ivf"]
    peer = faiss.read_index(str(index.path.with_suffix(".idx")))
    assert (peer.ntotal, peer.nlist, peer.d) == (len(index), index.nlist, index.dim)
    assert peer.search(clustered(1), 1)[1][0, 0] >= 10**12
    opened = IvfIndex.open(index.path)
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


@pytest.mark.parametrize("strings", [False, True])
def test_ids_at_positions(tmp_path, strings):
    ids = [f"id {n}" for n in range(500)] if strings else np.arange(500) * 7 + 10**12
    index = IvfIndex.build(clustered(500), ids, path=tmp_path / "i.idx")
    some = [ids[n] for n in (3, 499, 0, 3)]
    found = index.ids_at(index.positions(some))
    assert (found if strings else found.tolist()) == some
    assert len(index.ids_at(np.empty(0, np.uint32))) == 0
    for bad, message in (([500], "position 500 is not among the 500"), ([[1]], "one dimension")):
        with pytest.raises(InvalidInputError, match=message):
            index.ids_at(np.array(bad, np.uint32))
    with pytest.raises(InvalidInputError, match="uint32"):
        index.ids_at(np.array([1]))


def test_zero_vectors_have_cosine_zero(tmp_path):
    vectors = np.array([[0, 0], [3, 4]], np.float32)
    index = IvfIndex.build(vectors, np.arange(2), path=tmp_path / "i.idx", metric="cosine")
    np.testing.assert_allclose(index.search(vectors, 2)[1], [[0, 0], [1, 0]], atol=2e-4)


def test_tune(index):
    queries = clustered(50, seed=1)
    tuned = index.tune(0.9, 20, queries=queries)
    depth = {"nprobe": tuned.most_lists or tuned.nprobe, "margin": tuned.margin, "rerank": tuned.rerank}
    exact, _ = index.search(queries, 20, nprobe=index.nlist)
    found, _ = index.search(queries, 20, **depth)
    shares = [len(set(a) & set(b)) / 20 for a, b in zip(found.tolist(), exact.tolist(), strict=True)]
    assert tuned.recall == pytest.approx(np.mean(shares))
    assert tuned.recall >= 0.9
    assert (tuned.k, tuned.queries) == (20, 50)
    opened = IvfIndex.open(index.path)
    for each in (index, opened):
        assert (each.nprobe, each.rerank, each.tuned_k) == (tuned.nprobe, tuned.rerank, 20)
        assert (each.most_lists, each.margin) == (tuned.most_lists, tuned.margin)
    np.testing.assert_array_equal(index.search(queries, 20)[0], found)
    np.testing.assert_array_equal(opened.search(queries, 20)[0], found)
    assert index.tune(0.9, 20, queries=queries) == tuned
    assert index.tune(1.0, 20, queries=queries).recall == 1.0


def test_deeper_for_more_answers(index):
    """Lists and candidates grow with k above the k that was tuned, and never fall below it."""
    queries = clustered(5, seed=3)
    index.tune(0.9, 20, queries=clustered(50, seed=1))
    for k in (5, 20, 40, 200):
        nprobe, rerank = (int(np.ceil(depth * max(k, 20) / 20)) for depth in (index.nprobe, index.rerank))
        told = {"nprobe": nprobe, "rerank": rerank} if nprobe < index.nlist else {"nprobe": index.nlist}
        want, _ = index.search(queries, k, **told)
        np.testing.assert_array_equal(index.search(queries, k)[0], want)


def test_tuning_takes_the_cheapest_that_reaches():
    """Recall that is a product of what lists and candidates each allow, and all pairs tried one by one."""
    sizes = Sizes(100_000, 64, np.full(400, 250))

    def measure(nprobe, rerank):
        return (1 - 0.3 * 0.9**nprobe) * (1 - 0.2 * 0.99 ** (rerank - 50))

    for target in (0.8, 0.95, 0.99, 0.9999):
        depths = [int(np.ceil(50 * depth)) for depth in DEPTHS]
        pairs = [(p, r) for p in steps(400) for r in depths if measure(p, r) >= target]
        best = min(pairs, key=lambda pair: sizes.cost(*pair))
        assert choose(sizes, target, 50, measure)[:2] == best
    assert choose(sizes, 1.0, 50, measure) is None


def test_huge_pages_change_nothing(index):
    queries = clustered(5, seed=4)
    copied = IvfIndex.open(index.path, huge_pages=True)
    np.testing.assert_array_equal(copied.search(queries, 10)[0], index.search(queries, 10)[0])


@pytest.mark.parametrize("kind", ["Flat", "SQ8", "SQfp16", "PQ8x4"])
@pytest.mark.parametrize("metric", [faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2])
def test_from_faiss(tmp_path, kind, metric):
    """Scores are those of Faiss's own search over the same lists, whatever its codes have lost."""
    vectors, queries = clustered(2000), clustered(5, seed=5)
    peer = faiss.index_factory(16, f"IVF20,{kind}", metric)
    peer.train(vectors)
    peer.add_with_ids(vectors, np.arange(2000) + 7)
    index = IvfIndex.from_faiss(peer, path=tmp_path / "taken.ivf")
    assert [path.name for path in tmp_path.iterdir()] == ["taken.ivf"]
    peer.nprobe = 20
    want, want_ids = peer.search(queries, 10)
    ids, scores = index.search(queries, 10, nprobe=20)
    sign = -1 if metric == faiss.METRIC_L2 else 1
    np.testing.assert_allclose(scores, sign * want, rtol=5e-3, atol=5e-2)
    assert np.mean([len(set(a) & set(b)) for a, b in zip(ids.tolist(), want_ids.tolist(), strict=True)]) >= 9.5
    names = [f"item {i}" for i in range(2007)]
    named = IvfIndex.from_faiss(peer, path=tmp_path / "named.ivf", ids=names)
    assert named.search(queries, 10, nprobe=20)[0].tolist() == [[names[i] for i in row] for row in ids.tolist()]
    numbered = IvfIndex.from_faiss(peer, path=tmp_path / "numbered.ivf", ids=np.arange(2007) * 2)
    assert numbered.search(queries, 10, nprobe=20)[0].tolist() == (ids * 2).tolist()


def test_from_faiss_rejects(tmp_path):
    path = tmp_path / "i.ivf"
    vectors = clustered(500)
    flat = faiss.IndexFlatL2(16)
    binary = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(64), 64, 4)
    for other, name in (("x.idx", "str"), (None, "NoneType"), (binary, "IndexBinaryIVF")):
        with pytest.raises(InvalidInputError, match=f"takes an IndexIVFFlat, .* got {name}; build the index again"):
            IvfIndex.from_faiss(other, path=path)
    with pytest.raises(InvalidInputError, match="takes an IndexIVFFlat, .* got IndexFlatL2; build the index again"):
        IvfIndex.from_faiss(flat, path=path)
    index = faiss.index_factory(16, "IVF4,Flat")
    with pytest.raises(InvalidInputError, match="the Faiss index holds no vectors"):
        IvfIndex.from_faiss(index, path=path)
    index.train(vectors)
    index.add(vectors)
    with pytest.raises(InvalidInputError, match="numbers its vectors 0 to 499, but there are 499 ids"):
        IvfIndex.from_faiss(index, path=path, ids=["x"] * 499)
    index.add_with_ids(vectors[:1], np.array([3]))
    with pytest.raises(InvalidInputError, match="holds an id more than once"):
        IvfIndex.from_faiss(index, path=path)
    index.metric_type = faiss.METRIC_L1
    with pytest.raises(InvalidInputError, match="metric type 2; only METRIC_INNER_PRODUCT and METRIC_L2"):
        IvfIndex.from_faiss(index, path=path)
    assert not path.exists()


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
        (GOOD.tolist(), 1, None, r"queries must be a float32 array of shape \(n, d\), got list"),
        (GOOD, 2.0, None, "k must be a whole number, got 2.0"),
        (GOOD, "3", None, "k must be a whole number, got '3'"),
        (GOOD, True, None, "k must be a whole number, got True"),
        (GOOD, np.arange(3), None, "k must be a whole number, got a ndarray"),
        (GOOD, 2**63, None, "k must be in .*, got 9223372036854775808"),
        (GOOD, 1, 2.5, "nprobe must be a whole number, got 2.5"),
        (GOOD, 0, None, "k must be at least 1, got 0"),
        (GOOD, -1, None, "k must be at least 1, got -1"),
        (GOOD, 1, 0, r"nprobe must be in \[1, 102\], got 0"),
        (GOOD, 1, 103, r"nprobe must be in \[1, 102\], got 103"),
        (GOOD, 2**20 + 1, None, "k is 1048577 for 2 queries; at most 1048576 a query"),
        (GOOD, 2**62, None, "k is 4611686018427387904 for 2 queries"),
        (np.zeros((300, 16), np.float32), 2**20, None, "for 300 queries; .* and 268435456 in all"),
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
        ({"ids": None}, "ids must be an int64 array or strings, got None"),
        ({"ids": "abc"}, "ids must be an int64 array or strings, got 'abc'"),
        ({"nlist": 3.5}, "nlist must be a whole number, got 3.5"),
        ({"seed": -3}, r"seed must be in \[0, 2147483647\], got -3"),
        ({"seed": 0.5}, "seed must be a whole number, got 0.5"),
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


def test_search_rejects_depth_and_threads(index):
    with pytest.raises(InvalidInputError, match="rerank must be at least 1, got 0"):
        index.search(GOOD, 1, rerank=0)
    with pytest.raises(InvalidInputError, match="threads must be at least 1, got 0"):
        index.search(GOOD, 1, threads=0)
    with pytest.raises(InvalidInputError, match="rerank must be a whole number, got 1.5"):
        index.search(GOOD, 1, rerank=1.5)
    with pytest.raises(InvalidInputError, match="threads must be a whole number, got '2'"):
        index.search(GOOD, 1, threads="2")
    with pytest.raises(InvalidInputError, match="k must be a whole number, got None"):
        index.prefer_exact(None, queries=GOOD)


def test_numpy_integers_are_whole_numbers(index):
    want, _ = index.search(GOOD, 3, nprobe=2, rerank=5)
    found, _ = index.search(GOOD, np.uint8(3), nprobe=np.int64(2), rerank=np.int32(5), threads=np.int16(1))
    assert found.tolist() == want.tolist()


def test_vectors_of_too_many_dimensions(tmp_path):
    vectors = np.ones((1, 2**13 + 1), np.float32)
    with pytest.raises(InvalidInputError, match="vectors of 8193 dimensions; at most 8192 can be indexed"):
        IvfIndex.build(vectors, np.arange(1), path=tmp_path / "i.idx")


def test_tune_rejects(index):
    with pytest.raises(InvalidInputError, match=r"recall must be in \(0, 1\], got 0"):
        index.tune(0, queries=GOOD)
    with pytest.raises(InvalidInputError, match="at least one query"):
        index.tune(0.5, queries=np.empty((0, 16), np.float32))
    with pytest.raises(InvalidInputError, match="recall must be a number, got '0.9'"):
        index.tune("0.9", queries=GOOD)
    for k in (20.0, "20", True):
        with pytest.raises(InvalidInputError, match="k must be a whole number, got"):
            index.tune(0.9, k, queries=GOOD)
    with pytest.raises(InvalidInputError, match="queries must be a float32 array"):
        index.tune(0.9, queries=GOOD.tolist())


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
