"""The depth of searches under filters: worked out once, and never another index's."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.recall import Filter, IvfIndex
from friesian_fast.recall.depth import search_depth

N, DIM, K = 4000, 16, 20
_rng = np.random.default_rng(0)
VECTORS = _rng.standard_normal((N, DIM)).astype(np.float32)
QUERIES = _rng.standard_normal((20, DIM)).astype(np.float32)


@pytest.fixture
def index(tmp_path):
    index = IvfIndex.build(VECTORS, np.arange(N), path=tmp_path / "i.idx")
    index.tune(0.7, K, queries=QUERIES)
    assert 3 * index.nprobe < index.nlist
    return index


def test_it_depends_on_what_is_allowed_on_k_and_on_what_is_hidden(index):
    for allowed, k, hidden in [(3500, K, 0), (3000, K, 0), (3500, 2 * K, 0), (3500, K, 2 * K), (3500, K, 0)]:
        lists, rows = search_depth(index._native.depth, index.nlist, N, allowed, k + hidden)
        found = index.filter_depth(allowed, k, hidden)
        assert (found.nprobe, found.rerank) == (lists, rows)
        assert found.reach.rank_of == max(k + hidden, K) - hidden
    few = int(index.exact_share * N)
    assert index.filter_depth(few, K, 0) == index.filter_depth(0, K, 0) == (index.nlist, None, None)
    assert index.filter_depth(few + 1, N, 0) == (index.nlist, None, None)  # more answers than may be given


def test_an_index_that_is_tuned_again_has_depths_of_its_own(index):
    compiled = index.compile(Filter(deny=np.arange(400)))
    before = index.search(QUERIES, K, filter=compiled)
    was = index.filter_depth(N - 400, K, 0)
    index.tune(0.99, K, queries=QUERIES)
    now = index.filter_depth(N - 400, K, 0)
    assert now.nprobe > was.nprobe
    again = IvfIndex.open(index.path)
    after = again.search(QUERIES, K, filter=again.compile(Filter(deny=np.arange(400))))
    assert index.search(QUERIES, K, filter=compiled)[0].tolist() == after[0].tolist() != before[0].tolist()


def test_what_is_kept_is_bounded_and_keeps_no_index(index):
    for k in range(1, 1500):
        index.filter_depth(N - 400, k, 0)
    kept = index.filter_depth.cache_info()
    assert kept.currsize == kept.maxsize
    other = IvfIndex.open(index.path)
    other.search(QUERIES, K, filter=other.compile(Filter(deny=np.arange(400))))
    depths, native = other.filter_depth, weakref.ref(other._native)
    del other
    gc.collect()
    assert native() is None
    assert depths.cache_info().currsize == 1


@pytest.mark.parametrize("k", [0, -5])
def test_a_k_that_is_none_is_refused_by_name(index, k):
    """Though a query is denied more than was tuned for."""
    with pytest.raises(InvalidInputError, match=f"k must be at least 1, got {k}"):
        index.search(QUERIES[:1], k, filter=Filter(seen=[np.arange(2 * K)]))
