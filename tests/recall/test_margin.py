"""Lists that a margin leaves out: what tuning chooses, who searches with it, and who does not."""

from __future__ import annotations

import numpy as np
import pytest

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError
from friesian_fast.recall import Filter, IvfIndex, col
from friesian_fast.recall.tuning import Sizes, choose_margin

N, DIM, K = 12_000, 16, 20


def uneven(n, seed):
    """Tight clusters and wide ones: some queries have their best in one list, others in many."""
    centres = np.random.default_rng(9).standard_normal((60, DIM)) * 2
    rng = np.random.default_rng(seed)
    cluster = rng.integers(60, size=n)
    return (centres[cluster] + (0.05 + cluster[:, None] / 30) * rng.standard_normal((n, DIM))).astype(np.float32)


def normalised(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


QUERIES = normalised(uneven(300, 1))


@pytest.fixture(scope="module", params=["ip", "cosine", "l2"])
def index(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "i.idx"
    index = IvfIndex.build(normalised(uneven(N, 0)), np.arange(N), path=path, metric=request.param)
    index.tune(0.97, K, queries=normalised(uneven(400, 4)))
    return index


@pytest.fixture
def without(index, tmp_path):
    """The same index, tuned to as many lists for every query."""
    path = tmp_path / "i.ivf"
    path.write_bytes(index.path.read_bytes())
    _core.store_depth(str(path), index.nprobe, index.rerank, index.tuned_k, index.exact_share)
    return IvfIndex.open(path)


def recall(index, found, k):
    best, _ = index.search(QUERIES, k, nprobe=index.nlist)
    return sum(len(set(a) & set(b)) for a, b in zip(best.tolist(), found[0].tolist(), strict=True)) / best.size


def test_as_much_is_found_for_less(index, without):
    """On queries that tuning has not seen, within what so few tell."""
    assert 0 < index.nprobe < index.most_lists
    assert recall(index, index.search(QUERIES, K), K) > recall(index, without.search(QUERIES, K), K) - 0.005
    sizes, native = index._native.list_sizes, index._native
    rows = [
        sizes[native.probes(QUERIES, *depth)[1]].sum() for depth in ((index.most_lists, index.margin), (index.nprobe,))
    ]
    assert rows[0] < 0.95 * rows[1]


def test_default_is_what_tuning_chose(index):
    told = index.search(QUERIES, K, nprobe=index.most_lists, margin=index.margin, rerank=index.rerank)
    found, scores = index.search(QUERIES, K)
    np.testing.assert_array_equal(found, told[0])
    np.testing.assert_array_equal(scores, told[1])
    for i in range(20):
        np.testing.assert_array_equal(index.search(QUERIES[i : i + 1], K)[0][0], found[i])
    np.testing.assert_array_equal(
        index.search(QUERIES, K, rerank=20)[0],
        index.search(QUERIES, K, nprobe=index.most_lists, margin=index.margin, rerank=20)[0],
    )


def test_what_scales_depth_goes_without(index, without):
    """Filters and more answers search as they did before there was a margin, or are told how many lists."""
    half = np.arange(0, N, 2)
    for arguments in (
        {"k": K + 1},
        {"k": 5 * K},
        {"k": K, "filter": Filter(deny=half)},
        {"k": K, "filter": Filter(allow=half)},
        {"k": K, "filter": Filter(seen=[half[:5]] * len(QUERIES))},
        {"k": K, "nprobe": 3},
    ):
        np.testing.assert_array_equal(index.search(QUERIES, **arguments)[0], without.search(QUERIES, **arguments)[0])


def test_what_comes_out_short_is_searched_again(index, tmp_path):
    """A margin that leaves too few rows: exact for whom it does, and the same in a batch and alone."""
    path = tmp_path / "i.ivf"
    path.write_bytes(index.path.read_bytes())
    _core.store_depth(str(path), index.nlist - 1, N - 1, 200, 0.0, 5, 1e-6)
    shallow = IvfIndex.open(path)
    k = int(np.median(index._native.list_sizes))
    told, told_scores = shallow.search(QUERIES, k, nprobe=5, margin=1e-6, rerank=N - 1)
    exact, _ = shallow.search(QUERIES, k, nprobe=shallow.nlist)
    short = np.isneginf(told_scores[:, -1])
    assert 0 < short.sum() < len(QUERIES)
    found, _ = shallow.search(QUERIES, k)
    np.testing.assert_array_equal(found, np.where(short[:, None], exact, told))
    for i in (int(np.argmax(short)), int(np.argmin(short))):
        np.testing.assert_array_equal(shallow.search(QUERIES[i : i + 1], k)[0][0], found[i])


def test_the_cheapest_that_finds_as_much():
    """What is found and what it costs rise with lists and margin; all margins tried one by one."""
    sizes = Sizes(40_000, 64, np.full(400, 100))

    def measure(lists, margin):
        return lists * (1 if margin == 0 else min(1.0, margin / 3 + lists / 1000))

    def cost(lists, margin):
        return sizes.traffic(lists * 100 if margin == 0 else 300 * margin**2 + 5 * lists, lists, 50)

    least = {most: next(m for m in np.arange(0.001, 8, 0.001) if measure(most, m) >= 32) for most in (38, 45, 54, 64)}
    most, margin = choose_margin(400, 32, 8.0, measure, cost)
    assert most == min(least, key=lambda most: cost(most, least[most])) == 54
    assert measure(most, margin) >= 32
    assert margin == pytest.approx(least[most], abs=0.05)


def test_a_margin_that_gains_nothing_is_not_kept(tmp_path):
    """As where the lengths of the vectors decide more than where they lie."""
    index = IvfIndex.build(uneven(N, 0), np.arange(N), path=tmp_path / "i.idx")
    tuned = index.tune(0.95, K, queries=uneven(400, 4))
    assert (tuned.most_lists, tuned.margin, index.most_lists, index.margin) == (0, 0, 0, 0)
    assert choose_margin(400, 32, 8.0, lambda lists, margin: lists, lambda lists, margin: lists) is None
    assert choose_margin(400, 32, 8.0, lambda lists, margin: 1 - margin, lambda lists, margin: 0.99) is None
    assert choose_margin(400, 400, 8.0, lambda lists, margin: 1, lambda lists, margin: 1) is None


@pytest.mark.parametrize("depth", [(1, float("nan")), (1, float("inf")), (1, -1.0), (1, 0.0), (0, 1.0), (10**6, 1.0)])
def test_what_is_no_margin_is_not_stored(without, depth):
    before = without.path.read_bytes()
    with pytest.raises(InvalidInputError, match="a margin must be finite and above 0, and go with lists in"):
        _core.store_depth(str(without.path), 1, 10, 10, 0.0, *depth)
    assert without.path.read_bytes() == before


def test_rejects(index):
    for arguments in ({}, {"nprobe": 3, "filter": col("x") < 1}):
        with pytest.raises(InvalidInputError, match="margin goes with nprobe, and without a filter"):
            index.search(QUERIES, K, margin=1.0, **arguments)
    for margin in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidInputError, match="margin must be finite and not negative"):
            index.search(QUERIES, K, nprobe=3, margin=margin)


def test_an_exact_default_has_no_margin(index, tmp_path, monkeypatch):
    path = tmp_path / "i.ivf"
    path.write_bytes(index.path.read_bytes())
    other = IvfIndex.open(path)
    monkeypatch.setattr("friesian_fast.recall.index.exact_is_faster", lambda *_: True)
    assert other.prefer_exact(K, queries=QUERIES)
    assert (other.most_lists, other.margin) == (0, 0.0)
    np.testing.assert_array_equal(other.search(QUERIES, K)[0], index.search(QUERIES, K, nprobe=index.nlist)[0])
