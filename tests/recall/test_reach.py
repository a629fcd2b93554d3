"""Filters that deny what lies near a query: found as well as without a filter, and only where that is needed."""

from __future__ import annotations

import functools

import faiss
import numpy as np
import pytest
from tests.reference import ivf as reference

from friesian_fast import _core
from friesian_fast.recall import Filter, IvfIndex
from friesian_fast.recall.reach import Reach

N, DIM, K = 20_000, 24, 50
_rng = np.random.default_rng(0)
# Clusters that run into each other, so that a query's best lie in many lists.
CENTRES = _rng.standard_normal((50, DIM)).astype(np.float32)
CATEGORY = _rng.integers(50, size=N)
VECTORS = CENTRES[CATEGORY] + _rng.standard_normal((N, DIM)).astype(np.float32)
QUERIES = CENTRES[_rng.integers(50, size=200)] + _rng.standard_normal((200, DIM)).astype(np.float32)
MISSING = 2**32 - 1


@pytest.fixture(scope="module", params=["ip", "l2"])
def index(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "i.idx"
    index = IvfIndex.build(VECTORS, np.arange(N), path=path, metric=request.param)
    index.tune(0.95, K, queries=QUERIES[:100])
    assert 4 * index.nprobe < 3 * index.nlist
    return index


@functools.cache
def scores_of(metric):
    """Of the queries with the vectors, and with the centres of their clusters."""
    return reference.scores(VECTORS, QUERIES, metric), reference.scores(CENTRES, QUERIES, metric)


def recall(index, allowed_of, filtered=True):
    """Over queries that tuning has not seen, each with a filter of its own."""
    scores, shares = scores_of(index.metric)[0], []
    for i in range(100, 160):
        allowed = allowed_of(i)
        given = Filter(allow=np.flatnonzero(allowed)) if filtered else None
        found, _ = index.search(QUERIES[i : i + 1], K, filter=given)
        best = np.argsort(-np.where(allowed, scores[i], -np.inf), kind="stable")[:K]
        shares.append(len(set(best.tolist()) & set(found[0].tolist())) / K)
    return np.mean(shares)


def recall_without_filter(index):
    return recall(index, lambda i: np.ones(N, bool), filtered=False)


def nearest_denied(index, count):
    def allowed_of(i):
        allowed = np.ones(N, bool)
        allowed[np.argsort(-scores_of(index.metric)[0][i])[:count]] = False
        return allowed

    return allowed_of


def categories(index, count, nearest, denied):
    def allowed_of(i):
        order = np.argsort(-scores_of(index.metric)[1][i])
        return np.isin(CATEGORY, order[:count] if nearest else order[-count:]) != denied

    return allowed_of


@pytest.mark.parametrize("share", [0.005, 0.02, 0.1, 0.3])
def test_the_nearest_are_denied(index, share):
    assert recall(index, nearest_denied(index, round(share * N))) >= recall_without_filter(index)


@pytest.mark.parametrize("nearest", [True, False])
@pytest.mark.parametrize(("count", "denied"), [(1, True), (5, True), (25, True), (20, False), (30, False)])
def test_categories(index, count, nearest, denied):
    assert recall(index, categories(index, count, nearest, denied)) >= recall_without_filter(index)


def own_categories(tmp_path, metric, spread):
    """Vectors in 400 tight clusters, and queries whose own cluster each is to be denied."""
    rng = np.random.default_rng(1)
    n, dim = 12_000, 16
    centres = rng.standard_normal((400, dim)).astype(np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    category, own = rng.integers(400, size=n), rng.integers(400, size=300)
    vectors = (centres[category] + spread * rng.standard_normal((n, dim)) / 4).astype(np.float32)
    queries = (centres[own] + spread * rng.standard_normal((300, dim)) / 4).astype(np.float32)
    index = IvfIndex.build(vectors, np.arange(n), path=tmp_path / "i.idx", metric=metric, nlist=400)
    index.tune(0.95, 20, queries=queries[:150])
    return index, category, own, queries, reference.scores(vectors, queries, metric)


@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("spread", [0.3, 0.1])
def test_the_own_small_category_is_denied(tmp_path, metric, spread):
    """What is left lies at the rim of the region, where many are equally far."""
    index, category, own, queries, scores = own_categories(tmp_path, metric, spread)
    shares = []
    for i in range(150, 300):
        allowed = category != own[i]
        found, _ = index.search(queries[i : i + 1], 20, filter=Filter(allow=np.flatnonzero(allowed)))
        best = np.argsort(-np.where(allowed, scores[i], -np.inf), kind="stable")[:20]
        shares.append(len(set(best.tolist()) & set(found[0].tolist())) / 20)
    assert np.mean(shares) >= 0.96


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_asking_for_ranks_changes_no_answer(tmp_path, metric):
    """Though the list that is scanned for them, a tight cluster of its own, lies far above all others."""
    rng = np.random.default_rng(0)
    lists, dim = 400, 16
    centres = rng.standard_normal((lists, dim)).astype(np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    category = np.arange(40_000) % lists
    vectors = (centres[category] + 0.001 * rng.standard_normal((40_000, dim)) / 4).astype(np.float32)
    flat, kind = (
        (faiss.IndexFlatIP, faiss.METRIC_INNER_PRODUCT) if metric == "ip" else (faiss.IndexFlatL2, faiss.METRIC_L2)
    )
    quantizer = flat(dim)
    quantizer.add(centres)
    given = faiss.IndexIVFFlat(quantizer, dim, lists, kind)
    given.is_trained = True
    given.add(vectors)
    index = IvfIndex.from_faiss(given, path=tmp_path / "i.ivf")
    for own in range(20):
        compiled = index.compile(Filter(allow=np.flatnonzero(category != own)))
        allowed = {"allowed": compiled.bitmap, "allowed_lists": compiled.lists}
        plain = index._native.search(vectors[own : own + 1], 20, 12, 60, **allowed)
        ranked = index._native.search(vectors[own : own + 1], 20, 12, 60, rank_of=20, **allowed)
        assert ranked[0].tolist() == plain[0].tolist()
        assert ranked[1].tolist() == plain[1].tolist()


@pytest.mark.parametrize("share", [0.999, 0.9, 0.5])
def test_a_filter_at_random_is_searched_once(index, share, monkeypatch):
    """But for a few queries, by chance."""
    allowed = np.random.default_rng(1).random(N) < share
    queries = QUERIES[100:]
    again = []
    deeper = Reach.deeper
    monkeypatch.setattr(Reach, "deeper", lambda *given: again.extend(deeper(*given)) or iter(again))
    index.search(queries, K, filter=Filter(allow=np.flatnonzero(allowed)))
    assert sum(len(at) for at, _ in again) <= 0.05 * len(queries)


def test_a_batch_answers_what_its_queries_answer_alone(index):
    """One filter, which some queries have to go deeper for; with and without lists of their own."""
    allowed = categories(index, 10, nearest=True, denied=True)(0)
    queries = QUERIES[:40]
    for seen in (None, [np.arange(i, N, 40) for i in range(40)]):
        given = Filter(allow=np.flatnonzero(allowed), seen=seen)
        together, scores = index.search(queries, K, filter=given)
        for i in range(len(queries)):
            one = Filter(allow=given.allow, seen=None if seen is None else seen[i : i + 1])
            alone = index.search(queries[i : i + 1], K, filter=one)
            assert together[i].tolist() == alone[0][0].tolist()
            assert scores[i].tolist() == alone[1][0].tolist()


def test_the_depth_that_is_asked_for_stays(index):
    """Near vectors are denied and `nprobe` is told: lists that hold others are searched, no more."""
    given = Filter(allow=np.flatnonzero(nearest_denied(index, 600)(0)))
    found, _ = index.search(QUERIES[:1], K, filter=given, nprobe=1, rerank=100)
    assert np.count_nonzero(found >= 0) < index._native.list_sizes.max() + 1


def ranks_of(index, queries, rank_of, allowed, **more):
    native = index._native
    bitmap = np.packbits(np.pad(allowed, (0, -N % 64)), bitorder="little").view(np.uint64)
    lists = _core.bitmap_lists(native, bitmap)
    depth = {"nprobe": index.nprobe, "rerank": index.rerank, "allowed": bitmap, "allowed_lists": lists}
    return native.search(queries, K, rank_of=rank_of, **(depth | more))[2]


def test_ranks_count_what_is_denied(index, level):
    """By codes, and what the scanned lists hold, so about; at every level, for batches and for threads the same."""
    ids = index.ids_at(np.arange(N, dtype=np.uint32))
    everything = np.ones(N, bool)
    ranks = ranks_of(index, QUERIES, 60, everything, level=level)
    assert ((ranks >= 60) & (ranks < 70)).all()  # equal codes
    for denied in (40, 400, 2000):
        for i in range(0, 200, 20):
            allowed = nearest_denied(index, denied)(i)[ids]
            rank = ranks_of(index, QUERIES[i : i + 1], 60, allowed, level=level)[0]
            assert 0.3 * (denied + 60) < rank < 1.5 * (denied + 60)
            several = ranks_of(index, QUERIES, 60, allowed, level=level, threads=3)
            assert several[i] == rank
            assert several.tolist() == ranks_of(index, QUERIES, 60, allowed, level="scalar").tolist()
    few = np.arange(N) % 1000 == 0
    assert ranks_of(index, QUERIES[:3], 60, few, level=level).tolist() == [MISSING] * 3


def reach(**change):
    given = {"tuned": (10, 200, 100), "nlist": 400, "vectors": 100_000, "allowed": 50_000, "wanted": 50, "hidden": 0}
    return Reach(**(given | change))


def test_how_much_deeper():
    """In proportion to where the best stand, in few steps; where everything would be probed, exactly."""
    one = reach()
    assert one.rank_of == 100
    ranks = np.array([200, 230, 400, 790, 800, 2000, 70_000, MISSING], np.uint32)
    found = {depth: at.tolist() for at, depth in one.deeper(ranks, 20)}
    assert found == {(240, 1132): [2], (400, None): [3, 4, 5, 6, 7]}
    assert list(one.deeper(np.array([100, 230], np.uint32), 20)) == []


def test_what_a_user_has_seen_is_no_surprise():
    """The depth counts it in, wherever it lies."""
    one = reach(allowed=100_000, wanted=350, hidden=300)
    assert one.rank_of == 50
    assert list(one.deeper(np.array([50, 350], np.uint32), 35)) == []
    assert [at.tolist() for at, _ in one.deeper(np.array([350, 900], np.uint32), 35)] == [[1]]
