"""Which lists a margin leaves out, at every level, where the eight bits of a centroid's number lose nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.reference import ivf as reference

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError

METRICS = ["ip", "cosine", "l2"]
levels = pytest.mark.parametrize("level", _core.runnable_simd_levels())


def write(path, centroids, metric, rows_per_list=2):
    """A layout whose list l holds `rows_per_list` times centroid l, or none where l is divisible by five."""
    nlist, dim = centroids.shape
    counts = np.where(np.arange(nlist) % 5 == 4, 0, rows_per_list)
    vectors = np.repeat(centroids, counts, axis=0)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)
    pairs = (dim + 1) // 2
    codebook, codes = np.zeros((pairs, 16, 2), np.float32), np.zeros((len(vectors), pairs), np.uint8)
    ids = np.arange(len(vectors))
    _core.write_ivf_layout(str(path), metric, (1, 10, 5), centroids, offsets, codebook, codes, vectors, ids, False)
    return _core.IvfLayout(str(path))


def lists_of(layout, queries, nprobe, margin, level=None):
    ends, lists = layout.probes(queries, nprobe, margin, level=level)
    return [part.tolist() for part in np.split(lists, ends[:-1].astype(np.int64))]


def whole_numbers(rng, n, dim):
    """The largest is 127, so each is its own code; an even sum of squares, so that half of it is a whole number."""
    values = rng.integers(-126, 127, (n, dim))
    values[:, 0] += (values**2).sum(axis=1) % 2
    values[0, :2] = 127
    values[0, 2:] -= values[0, 2:] % 2
    return values.astype(np.float32)


@levels
def test_known_answer(tmp_path, level):
    """On a line: the best four stand at 10, 9, 8, 5 (mean 8), the others at 4, 0 and -10."""
    centroids = np.array([[5, 127], [10, 0], [-10, 0], [9, 0], [8, 0], [4, 0], [0, 0]], np.float32)
    layout = write(tmp_path / "i.ivf", centroids, "ip")
    for query in ([[127, 0]], [[0.5, 0]]):  # of any length: the margin goes with it
        asked = np.array(query, np.float32)
        assert lists_of(layout, asked, 7, 0.0, level) == [[0, 1, 2, 3, 4, 5, 6]]
        assert lists_of(layout, asked, 7, 17.9, level) == [[0, 1, 3, 4, 5, 6]]
        assert lists_of(layout, asked, 7, 3.9, level) == [[0, 1, 3, 4]]
        assert lists_of(layout, asked, 7, 1.9, level) == [[1, 3, 4]]
        assert lists_of(layout, asked, 2, 7.9, level) == [[1, 3]]
        assert lists_of(layout, asked, 6, 17.9, level) == [[0, 1, 3, 4, 5, 6]]


@levels
def test_known_answer_by_distance(tmp_path, level):
    """Squared distances 0, 4, 16 and 36, their mean 14, and 100: those nearer than √14 and the margin."""
    centroids = np.array([[0, 0], [2, 0], [0, 4], [-6, 0], [0, -10], [127, 1]], np.float32)
    layout = write(tmp_path / "i.ivf", centroids, "l2")
    asked = np.zeros((1, 2), np.float32)
    assert lists_of(layout, asked, 6, 6.2, level) == [[0, 1, 2, 3]]  # √14 + 6.2 < 10
    assert lists_of(layout, asked, 6, 6.3, level) == [[0, 1, 2, 3, 4]]
    assert lists_of(layout, asked, 6, 2.2, level) == [[0, 1, 2]]
    assert lists_of(layout, asked, 6, 200.0, level) == [[0, 1, 2, 3, 4, 5]]


@levels
@pytest.mark.parametrize("metric", METRICS)
def test_a_query_of_zeros(tmp_path, level, metric):
    """All products are equal, and no list lies farther off than another; distances are those of the centroids."""
    centroids = whole_numbers(np.random.default_rng(0), 9, 4)
    layout = write(tmp_path / "i.ivf", centroids, metric)
    asked = np.zeros((1, 4), np.float32)
    got = lists_of(layout, asked, 5, 0.5, level)[0]
    if metric != "l2":
        assert got == [0, 1, 2, 3, 4]
    assert got == reference.probed_lists(centroids, asked[0], metric, 5, 0.5)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    nlist=st.integers(1, 90),
    dim=st.integers(3, 20),
    metric=st.sampled_from(METRICS),
    seed=st.integers(0, 2**32 - 1),
    share=st.floats(0.003, 1.5),
    data=st.data(),
)
def test_matches_the_reference(tmp_path, nlist, dim, metric, seed, share, data):
    rng = np.random.default_rng(seed)
    centroids, queries = whole_numbers(rng, nlist, dim), whole_numbers(rng, 1, dim)
    nprobe = data.draw(st.integers(1, nlist))
    margin = float(np.float32(share * 127 * 2**0.5))
    if metric == "cosine":  # numbers about as large as those of the query, which is normalised
        centroids, margin = centroids / 1024, margin / 1024
    layout = write(tmp_path / "i.ivf", centroids, metric)
    want = reference.probed_lists(centroids, queries[0], metric, nprobe, margin)
    for level in _core.runnable_simd_levels():
        assert lists_of(layout, queries, nprobe, margin, level) == [want]


@levels
@pytest.mark.parametrize("metric", METRICS)
def test_a_search_finds_what_stands_in_these_lists(tmp_path, level, metric):
    """Alone and in a batch, whose queries share the scan of a list."""
    rng = np.random.default_rng(1)
    centroids = whole_numbers(rng, 60, 6)
    layout = write(tmp_path / "i.ivf", centroids, metric)
    queries = np.concatenate([whole_numbers(rng, 1, 6) for _ in range(40)])
    offsets = np.concatenate([[0], np.cumsum(layout.list_sizes)])
    ids, scores = layout.search(queries, 120, 30, 120, margin=60.0, level=level)
    lists = lists_of(layout, queries, 30, 60.0, level)
    assert len({len(one) for one in lists}) > 3
    for row, found, score, query in zip(lists, ids, scores, queries, strict=True):
        rows = {place for one in row for place in range(offsets[one], offsets[one + 1])}
        assert set(found.tolist()) - {-1} == rows
        alone = layout.search(query[None], 120, 30, 120, margin=60.0, level=level)
        np.testing.assert_array_equal(alone[0][0], found)
        np.testing.assert_array_equal(alone[1][0], score)


def test_a_filter_goes_without(tmp_path):
    """It is refused with a margin that is given, and passes over one that is stored."""
    layout = write(tmp_path / "i.ivf", whole_numbers(np.random.default_rng(3), 30, 4), "ip")
    queries = np.ones((3, 4), np.float32)
    rows = np.full(-(-len(layout) // 64), 2**64 - 1, np.uint64)
    lists = np.full(1, 2**30 - 1, np.uint64)
    with pytest.raises(InvalidInputError, match="margin is for searches without a filter"):
        layout.search(queries, 5, 9, allowed=rows, allowed_lists=lists, margin=1.0)
    _core.store_depth(str(tmp_path / "i.ivf"), 9, 60, 60, 0.0, 12, 1e-3)
    layout = _core.IvfLayout(str(tmp_path / "i.ivf"))
    assert layout.margin == (12, pytest.approx(1e-3))
    want, _ = layout.search(queries, 60, 9, 60)
    np.testing.assert_array_equal(layout.search(queries, 60, allowed=rows, allowed_lists=lists)[0], want)
    assert (layout.search(queries, 60)[0] >= 0).sum() < (want >= 0).sum()


def test_numbers_far_apart_do_not_cross(tmp_path):
    """A query far off, beside which the distances between centroids vanish, keeps the best lists."""
    centroids = whole_numbers(np.random.default_rng(2), 20, 4)
    layout = write(tmp_path / "i.ivf", centroids, "l2")
    for size in (1e4, 1e6, 1e7):
        assert lists_of(layout, np.full((1, 4), size, np.float32), 5, 1e-3)[0]


@pytest.mark.parametrize("margin", [-1.0, float("nan"), float("inf")])
def test_rejects(tmp_path, margin):
    layout = write(tmp_path / "i.ivf", np.eye(3, dtype=np.float32), "ip")
    queries = np.ones((1, 3), np.float32)
    for call in (layout.probes, lambda *a: layout.search(a[0], 1, a[1], margin=a[2])):
        with pytest.raises(InvalidInputError, match="margin must be finite and not negative"):
            call(queries, 2, margin)
