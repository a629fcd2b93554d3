"""How deep a search goes by default: for more answers than were tuned for, and under filters that are not narrow."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from friesian_fast import _core
from friesian_fast.recall import Filter, IvfIndex, col
from friesian_fast.recall.columns import ItemColumns
from friesian_fast.recall.depth import search_depth

N, DIM, K = 12_000, 16, 20


def clustered(n, seed):
    centres = np.random.default_rng(9).standard_normal((60, DIM)) * 2
    rng = np.random.default_rng(seed)
    return (centres[rng.integers(60, size=n)] + rng.standard_normal((n, DIM))).astype(np.float32)


VECTORS, QUERIES = clustered(N, 0), clustered(60, 1)
RANDOM = np.random.default_rng(2).random(N)
ALONG = (
    np.argsort(np.argsort(VECTORS @ np.random.default_rng(3).standard_normal(DIM))) / N
)  # a filter by it leaves whole clusters out


@pytest.fixture(scope="module", params=["int64", "string"])
def index(request, tmp_path_factory):
    ids = np.arange(N) if request.param == "int64" else [str(i) for i in range(N)]
    index = IvfIndex.build(VECTORS, ids, path=tmp_path_factory.mktemp("index") / "i.idx")
    index.tune(0.95, K, queries=clustered(200, 4))
    places = np.array(index.ids_at(np.arange(N, dtype=np.uint32)), np.int64)
    columns = {"random": pa.array(RANDOM[places]), "along": pa.array(ALONG[places])}
    return index.with_columns(ItemColumns.from_arrow(columns))


def recall(index, k, condition=None):
    """Against exact search, and how many answers lack."""
    best, _ = index.search(QUERIES, k, nprobe=index.nlist, filter=condition)
    found, scores = index.search(QUERIES, k, filter=condition)
    hits = sum(len(set(a) & set(b)) for a, b in zip(best.tolist(), found.tolist(), strict=True))
    return hits / best.size, int(np.isneginf(scores).sum())


def test_more_answers_than_were_tuned_for_are_found_as_well(index):
    assert index.nprobe * 10 < index.nlist
    tuned, _ = recall(index, K)
    for k in (2 * K, 10 * K):
        found, lacking = recall(index, k)
        assert lacking == 0
        assert found >= tuned - 0.01


@pytest.mark.parametrize("column", ["random", "along"])
@pytest.mark.parametrize("share", [0.15, 0.2, 0.3, 0.6, 0.95])
def test_a_filter_costs_no_recall(index, column, share):
    """Of lists that are full, at every k; the share is above the one up to which all that is left is compared."""
    assert share > index.exact_share
    tuned, _ = recall(index, K)
    for k in (K // 4, K, 5 * K):
        found, lacking = recall(index, k, col(column) < share)
        assert lacking == 0
        assert found >= tuned - 0.005


def test_what_was_seen_makes_the_search_go_deeper(index):
    """Those that lie nearest are hidden: the best of the rest are as many places further down."""
    best, _ = index.search(QUERIES, 10 * K, nprobe=index.nlist)
    tuned, _ = recall(index, K)
    found, lacking = recall(index, K, Filter(seen=list(best)))
    assert lacking == 0
    assert found >= tuned - 0.01


@pytest.mark.parametrize("condition", [None, col("random") < 0.7, "seen"])
@pytest.mark.parametrize("rerank", [None, 700])
def test_what_comes_out_short_is_searched_again(index, tmp_path, condition, rerank):
    """A depth that finds far too few: as exact as it can be, but for whom says `nprobe`; others keep their answer."""
    path = tmp_path / "i.ivf"
    path.write_bytes(index.path.read_bytes())
    _core.store_depth(str(path), 1, 1000, 1000)
    shallow = IvfIndex.open(path).with_columns(index.columns)
    sizes = shallow._native.list_sizes
    k = int(np.median(sizes)) // 2
    if condition == "seen":
        condition = Filter(seen=[shallow.ids_at(np.arange(50, dtype=np.uint32))] * len(QUERIES))
    told, told_scores = shallow.search(QUERIES, k, filter=condition, nprobe=1, rerank=rerank)
    exact, _ = shallow.search(QUERIES, k, filter=condition, nprobe=shallow.nlist)
    found, scores = shallow.search(QUERIES, k, filter=condition, rerank=rerank)
    short = np.isneginf(told_scores[:, -1])
    assert 0 < short.sum() < len(QUERIES)
    assert np.isfinite(scores).all()
    if condition is None:
        np.testing.assert_array_equal(found, np.where(short[:, None], exact, told))
    else:
        assert (found == exact).all(axis=1).sum() >= 1
    alone = [shallow.search(QUERIES[i : i + 1], k, rerank=rerank)[0][0].tolist() for i in range(len(QUERIES))]
    assert condition is not None or found.tolist() == alone


def test_fewer_than_k_is_no_reason_to_search_again(index):
    """There are no more: the answer holds all that is allowed."""
    some = index.ids_at(np.arange(0, N, 1000, dtype=np.uint32))
    found, scores = index.search(QUERIES, 2 * len(some), filter=Filter(allow=some))
    assert (np.isfinite(scores).sum(axis=1) == len(some)).all()
    assert set(found[0].tolist()) - {-1, None} == set(some if isinstance(some, list) else some.tolist())


def test_how_deep():
    """Lists and rows for 100 lists of 60 vectors each, of which 4 and 40 find the best 20."""
    tuned = (4, 40, 20)
    assert search_depth(tuned, 100, 6000, 6000, 1) == (4, 40)
    assert search_depth(tuned, 100, 6000, 6000, 20) == (4, 40)
    assert search_depth(tuned, 100, 6000, 6000, 30) == (6, 60)
    assert search_depth(tuned, 100, 6000, 3000, 20) == (8, 57)  # twice the lists, and rows as its root
    assert search_depth(tuned, 100, 6000, 1500, 120) == (96, 480)
    assert search_depth((1, 40, 20), 100, 6000, 1500, 20) == (6, 80)  # four allowed for each that is wanted
    assert search_depth((1, 40, 20), 100, 6000, 5999, 20) == (2, 41)  # no jump
    assert search_depth(tuned, 100, 6000, 1500, 200) == (100, None)
    assert search_depth(tuned, 100, 6000, 100, 1) == (100, None)  # more rows than there are
