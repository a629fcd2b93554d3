"""Filters in the search against brute force over what they let through."""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.reference import ivf as reference

from friesian_fast.errors import InvalidInputError
from friesian_fast.recall import Filter, ItemColumns, IvfIndex, col

N, DIM, K = 3000, 16, 20


def clustered(n, seed):
    """Numbers that half precision holds, so that brute force is exact."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((20, DIM)) * 3
    points = centres[rng.integers(20, size=n)] + rng.standard_normal((n, DIM))
    return points.astype(np.float16).astype(np.float32)


VECTORS, QUERIES = clustered(N, 0), clustered(40, 1)
IDS = np.arange(N) * 3 + 10**12
NEAREST = np.argmax(VECTORS[:, :2] @ np.array([[1, 0, -1, 0], [0, 1, 0, -1]], np.float32), axis=1)


def item_table():
    rng = np.random.default_rng(2)
    return {
        "price": pa.array(rng.random(N, np.float32), mask=rng.random(N) < 0.1),
        "country": pa.array(rng.choice(["DE", "ES", "FR"], N)),
        "side": pa.array(NEAREST.astype(np.int8)),
    }


@pytest.fixture(scope="module", params=["int64", "string"])
def index(request, tmp_path_factory):
    ids = IDS if request.param == "int64" else [f"item {i}" for i in IDS.tolist()]
    index = IvfIndex.build(VECTORS, ids, path=tmp_path_factory.mktemp("index") / "i.idx")
    index.tune(0.95, K, queries=QUERIES)
    order = np.random.default_rng(3).permutation(N)
    shuffled = {name: values.take(pa.array(order)) for name, values in item_table().items()}
    some = ids[order] if isinstance(ids, np.ndarray) else [ids[i] for i in order]
    return index.with_columns(index.align(some, shuffled))


def ids_of(index, numbers):
    return [f"item {i}" for i in IDS[numbers].tolist()] if index.string_ids else IDS[numbers]


def brute_force(index, allowed, queries, k=K):
    """The best ids among the allowed vectors (a bool each, for all queries or one row for each)."""
    scores = reference.scores(VECTORS, queries, index.metric)
    scores = np.where(allowed, scores, -np.inf)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    found = np.take_along_axis(scores, best, axis=1)
    nothing = None if index.string_ids else -1
    return [
        [item if value > -np.inf else nothing for item, value in zip(list(ids_of(index, row)), values, strict=True)]
        for row, values in zip(best, found, strict=True)
    ]


def test_a_filter_within_another_holds_with_it(index):
    """Whatever of either leaves a vector out, for each query; what only hides more keeps the bitmap."""
    ids = list(ids_of(index, np.arange(N)))
    around = index.compile(Filter(where=col("country") == "DE", seen=[ids[:50], ids[50:90]]))
    both = index.compile(Filter(where='{"col": "side", "eq": 1}', deny=ids[::3], seen=[ids[40:200], []]), within=around)
    germany = np.array(item_table()["country"]) == "DE"
    allowed = np.tile(germany & (NEAREST == 1) & (np.arange(N) % 3 > 0), (2, 1))
    assert both.allowed == allowed[0].sum()
    allowed[0, :200] = False
    allowed[1, 50:90] = False
    found, _ = index.search(QUERIES[:2], K, filter=both, nprobe=index.nlist)
    assert found.tolist() == brute_force(index, allowed, QUERIES[:2])
    positions = index.positions(ids)
    assert both.lets_through(positions).tolist() == allowed[0].tolist()
    assert not both.lets_through(np.array([N, N + 100, 2**32 - 1], np.uint32)).any()
    hiding = index.compile(Filter(seen=[ids[:3], ids[:3]]), within=both)
    assert hiding.bitmap is both.bitmap
    assert [len(hidden) for hidden in hiding.hidden] == [200, 43]
    with pytest.raises(InvalidInputError, match="filter.seen has lists for 1 queries, the filter around it for 2"):
        index.compile(Filter(seen=[ids[:3]]), within=both)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.02, 0.005, 1 / N, 0])
def test_exact_when_narrow(index, level, share):
    """Every level; down to one vector, or none, that may be answered."""
    allowed = np.zeros(N, bool)
    allowed[np.random.default_rng(4).permutation(N)[: round(share * N)]] = True
    given = Filter(allow=ids_of(index, np.flatnonzero(allowed)))
    found, scores = index.search(QUERIES, K, filter=given, nprobe=index.nlist, level=level)
    assert found.tolist() == brute_force(index, allowed, QUERIES)
    assert (np.isneginf(scores).sum(axis=1) == max(K - allowed.sum(), 0)).all()
    if share <= index.exact_share:
        by_default, _ = index.search(QUERIES, K, filter=given, level=level)
        assert by_default.tolist() == found.tolist()


@pytest.mark.parametrize(
    "predicate",
    [col("price") < 0.5, (col("country") == "FR") & (col("side") == 2), ~(col("side") == 0), col("price").is_null()],
)
def test_predicates(index, predicate):
    """Columns given in any order; at least the recall that was tuned for without a filter."""
    truth = ItemColumns.from_arrow(item_table()).matches(predicate)
    found, _ = index.search(QUERIES, K, filter=predicate)
    expected = brute_force(index, truth, QUERIES)
    hits = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), expected, strict=True))
    assert hits >= 0.95 * K * len(QUERIES)
    assert all(set(row) <= set(ids_of(index, np.flatnonzero(truth))) for row in found.tolist())
    assert index.search(QUERIES, K, filter=predicate, nprobe=index.nlist)[0].tolist() == expected


def test_seen_is_per_query(index):
    """Lists of each query's own, with repeated and unknown ids, and an empty one."""
    best = index.search(QUERIES, K, nprobe=index.nlist)[0].tolist()
    unknown = "no such item" if index.string_ids else -5
    seen = [[*row[::2], row[0], unknown] if i % 3 else [] for i, row in enumerate(best)]
    found = index.search(QUERIES, K, nprobe=index.nlist, filter=Filter(seen=seen))[0].tolist()
    allowed = np.ones((len(QUERIES), N), bool)
    numbers = {item: i for i, item in enumerate(list(ids_of(index, np.arange(N))))}
    for row, ids in zip(allowed, seen, strict=True):
        row[[numbers[item] for item in ids if item in numbers]] = False
    assert found == brute_force(index, allowed, QUERIES)
    assert found[0] == best[0]


def test_all_parts_hold_together(index):
    given = Filter(
        where=col("country").isin(["FR", "DE"]),
        allow=ids_of(index, np.arange(0, N, 2)),
        deny=ids_of(index, np.arange(0, N, 3)),
        seen=[ids_of(index, np.arange(i, N, 5)) for i in range(len(QUERIES))],
    )
    row = np.arange(N)
    static = ItemColumns.from_arrow(item_table()).matches(given.where) & (row % 2 == 0) & (row % 3 != 0)
    allowed = [static & ((row < i) | ((row - i) % 5 != 0)) for i in range(len(QUERIES))]
    compiled = index.compile(given)
    assert compiled.allowed == static.sum()
    for once in (given, compiled):
        found, _ = index.search(QUERIES, K, nprobe=index.nlist, filter=once)
        assert found.tolist() == brute_force(index, np.array(allowed), QUERIES)


def test_closed_lists_are_not_probed(index):
    """With one list open, one probe finds all of it, wherever the query is."""
    everything, _ = index.search(np.zeros((1, DIM), np.float32), N, nprobe=index.nlist)
    by_position = np.empty(N, object)
    by_position[index.positions(list(everything[0]))] = everything[0]
    some = list(by_position[:5])
    found, _ = index.search(QUERIES, 5, nprobe=1, filter=Filter(allow=some))
    assert all(set(row) <= {*some, -1, None} for row in found.tolist())
    first_list = int(index._native.list_sizes[0])
    if first_list >= 5:
        assert all(set(row) == set(some) for row in found.tolist())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(data=st.data())
def test_any_lists(index, data):
    numbers = st.lists(st.integers(0, N - 1), max_size=60)
    allow, deny, seen = data.draw(st.one_of(st.none(), numbers)), data.draw(numbers), data.draw(numbers)
    given = Filter(
        allow=None if allow is None else ids_of(index, np.array(allow, int)),
        deny=ids_of(index, np.array(deny, int)),
        seen=[ids_of(index, np.array(seen, int))],
    )
    allowed = np.ones(N, bool) if allow is None else np.isin(np.arange(N), allow)
    allowed[deny] = False
    allowed[seen] = False
    found, _ = index.search(QUERIES[:1], 7, nprobe=index.nlist, filter=given)
    assert found.tolist() == brute_force(index, allowed, QUERIES[:1], 7)


def test_nothing_to_search(index):
    ids, scores = index.search(QUERIES[:0], 3, filter=Filter(seen=[]))
    assert ids.shape == scores.shape == (0, 3)


def test_bitmaps_come_in_pieces(index, monkeypatch):
    """More queries with lists of their own than bitmaps are made at a time."""
    given = Filter(seen=[ids_of(index, np.arange(i)) for i in range(len(QUERIES))])
    whole, _ = index.search(QUERIES, K, filter=given)
    monkeypatch.setattr("friesian_fast.recall.filters._BITMAP_BYTES", 1000)
    assert index.search(QUERIES, K, filter=given)[0].tolist() == whole.tolist()


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_other_metrics(tmp_path, metric):
    index = IvfIndex.build(VECTORS, IDS, path=tmp_path / "i.idx", metric=metric)
    table, _ = index.search(QUERIES, N, nprobe=index.nlist)
    free = np.random.default_rng(5).random(N) < 0.05
    found, _ = index.search(QUERIES, K, nprobe=index.nlist, filter=Filter(allow=IDS[free]))
    assert found.tolist() == [[item for item in row if item in set(IDS[free].tolist())][:K] for row in table.tolist()]


def test_rejects(index):
    other, kind = (3, "string") if index.string_ids else ("a", "int64")
    ids = list(ids_of(index, np.arange(40)))
    bare = IvfIndex.open(index.path)
    for bad, message in [
        (Filter(deny=[other]), f"filter.deny: id {other!r} is not of type {kind}"),
        (Filter(allow=[*ids[:2], True]), f"filter.allow: id True is not of type {kind}"),
        (Filter(deny="item 1"), "filter.deny: ids come as a list, got 'item 1'"),
        (Filter(deny=ids[0]), "filter.deny: ids come as a list, got"),
        (Filter(deny=set(ids)), "filter.deny: ids come as a list, got a set"),
        (Filter(allow=dict.fromkeys(ids)), "filter.allow: ids come as a list, got a dict"),
        (Filter(allow=(one for one in ids)), "filter.allow: ids come as a list, got a generator"),
        (Filter(allow=np.array(ids[0])), r"filter.allow: ids come as a list, got an array of shape \(\)"),
        (Filter(allow=[[], [[] for _ in range(9)]]), "filter.allow: id a list is not of type"),
        (Filter(seen=ids), "filter.seen is a list of lists of ids, one a query, but holds"),
        (Filter(seen=np.array(ids)), "filter.seen is a list of lists of ids, one a query, but holds"),
        (Filter(seen=ids[0]), "filter.seen is a list of lists of ids, got"),
        (Filter(seen={1: ids}), "filter.seen is a list of lists of ids, got a dict"),
        (Filter(seen=[None] * 40), "filter.seen: ids come as a list, got None"),
        (functools.reduce(lambda part, _: ~part, range(2000), col("price") < 1), "filter.where is nested too deep"),
        (Filter(seen=[[]]), "there are 1 lists of seen items, but 40 queries"),
        (3, "a filter is a condition on columns, a Filter or a compiled one, got 3"),
        (col("colour") == 1, "no column 'colour'"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            index.search(QUERIES, K, filter=bad)
    with pytest.raises(InvalidInputError, match="has no item columns to filter by"):
        bare.search(QUERIES, K, filter=col("price") < 1)
    with pytest.raises(InvalidInputError, match="there are 1 rows of item columns, but 3000 vectors"):
        bare.with_columns(ItemColumns.from_arrow({"a": pa.array([1])}))


def test_a_filter_serves_its_own_index(tmp_path, index):
    """One of as many vectors is refused, and the same file opened again, or tuned again, is not another."""
    compiled = index.compile(Filter(allow=ids_of(index, np.arange(500))))
    ids = IDS if not index.string_ids else list(ids_of(index, np.arange(N)))
    other = IvfIndex.build(VECTORS[::-1].copy(), ids, path=tmp_path / "other.idx")
    with pytest.raises(InvalidInputError, match=r"compiled for another index than .*other\.ivf"):
        other.search(QUERIES, K, filter=compiled)
    with pytest.raises(InvalidInputError, match="compiled for another index"):
        other.compile(Filter(deny=ids_of(index, np.arange(3))), within=compiled)
    copied = tmp_path / "copy.ivf"
    copied.write_bytes(index.path.read_bytes())
    again = IvfIndex.open(copied)
    want, _ = index.search(QUERIES, K, filter=compiled, nprobe=index.nlist)
    again.tune(0.5, 5, queries=QUERIES)
    assert again.search(QUERIES, K, filter=compiled, nprobe=index.nlist)[0].tolist() == want.tolist()


def test_align_rejects(index):
    ids, table = ids_of(index, np.arange(N)), {"a": pa.array(np.arange(N))}
    unknown = ["x", *ids[1:]] if index.string_ids else np.append(5, ids[1:])
    twice = [ids[1], *ids[1:]] if index.string_ids else np.append(ids[1], ids[1:])
    for bad, message in [
        (ids[1:], "there are 2999 ids of item columns, but 3000 vectors"),
        (unknown, "of the item columns has no vector"),
        (twice, "an id of the item columns is there twice"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            index.align(bad, table)
