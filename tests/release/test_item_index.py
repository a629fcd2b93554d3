"""What publish keeps as the index: tuned lists or an exact scan, and a recall of users that did not tune it."""

import numpy as np
import pytest
import yaml
from tests.release.conftest import write

from friesian_fast import _core
from friesian_fast.recall import IvfIndex, exact
from friesian_fast.release import item_index
from friesian_fast.release.item_index import recall_of, split_users
from friesian_fast.release.open import open_release
from friesian_fast.release.publish import publish

N, DIM, K = 20_000, 64, 10


def normal(n, dim, seed):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


@pytest.fixture(scope="module")
def vectors():
    return normal(N, DIM, 0)


@pytest.fixture
def index(vectors, tmp_path):
    return IvfIndex.build(vectors, np.arange(N), path=tmp_path / "item.idx", nlist=64)


def at_depth(index, nprobe, rerank):
    _core.store_depth(str(index.path), nprobe, rerank, K, 0.0)
    return IvfIndex.open(index.path)


def brute_force(vectors, queries):
    return np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :K]


def test_lists_are_kept_where_they_are_faster(index):
    few = at_depth(index, 1, K)
    before = index.path.read_bytes()
    assert few.prefer_exact(K, queries=normal(50, DIM, 1)) is False
    assert (few.nprobe, few.exact_scan) == (1, None)
    assert index.path.read_bytes() == before


def test_an_exact_scan_is_kept_where_it_is_faster(index, vectors):
    deep = at_depth(index, index.nlist - 1, N)
    queries = normal(50, DIM, 1)
    assert deep.prefer_exact(K, queries=queries) is True
    for one in (deep, IvfIndex.open(index.path)):
        assert one.nprobe == one.nlist
        assert one.exact_scan is not None
        np.testing.assert_array_equal(one.search(queries, K)[0], brute_force(vectors, queries))


def test_an_index_that_is_exact_already_stays_so(index):
    whole = at_depth(index, index.nlist, K)
    before = index.path.read_bytes()
    assert whole.prefer_exact(K, queries=normal(5, DIM, 1)) is True
    assert index.path.read_bytes() == before


def test_recall_is_the_share_of_the_best_that_a_search_finds(index, vectors):
    few, queries = at_depth(index, 4, 2 * K), normal(200, DIM, 1)
    found, _ = few.search(queries, K)
    hits = sum(len(np.intersect1d(*pair)) for pair in zip(found, brute_force(vectors, queries), strict=True))
    assert recall_of(few, queries, K) == pytest.approx(hits / (200 * K))
    assert 0 < hits < 200 * K


@pytest.mark.parametrize(("users", "tuning", "measuring"), [(1, 1, 1), (2, 1, 1), (5, 3, 2), (5000, 1000, 1000)])
def test_users_tune_or_measure(users, tuning, measuring):
    given = np.arange(users, dtype=np.float32)[:, None]
    parts = split_users(given)
    assert [len(part) for part in parts] == [tuning, measuring]
    assert len(np.intersect1d(*parts)) == (1 if users == 1 else 0)


@pytest.mark.parametrize("exact_wins", [False, True])
def test_publish_keeps_the_faster_and_says_what_it_measured(outputs, tmp_path, monkeypatch, exact_wins):
    """So few vectors that a machine could go either way; so the clock decides: the first turn is an exact one."""
    turns = iter(range(100))

    def thread_time():
        turn, ended = divmod(next(turns), 2)
        exactly = turn % 2 == 0
        return float(ended * (2 if exactly == exact_wins else 3))

    monkeypatch.setattr(exact.time, "thread_time", thread_time)
    items, dim = 3000, 8
    plan = yaml.safe_load((outputs / "publish.yaml").read_text())
    ids = [f"item-{n:04d}" for n in range(items)]
    row = {"price": np.ones(items, np.float32), "tags": [[1]] * items, "shape": [[0.0, 1.0]] * items}
    write(outputs / "item.parquet", {"item_id": ids, **row})
    write(outputs / "item_ebd.parquet", {"item_id": ids, "prediction": normal(items, dim, 0).tolist()})
    log = {"item_id": ["item-0005"], "label": [1]}
    write(outputs / "log" / "part-0.parquet", log)
    write(outputs / "log" / "part-1.parquet", log)
    (outputs / "publish.yaml").write_text(yaml.safe_dump(plan))
    monkeypatch.setattr(item_index, "TARGET_RECALL", 0.5)
    release = open_release(publish(outputs / "publish.yaml", tmp_path / "releases"))
    entry, index = release.manifest.index, release.index()
    assert (index.exact_scan is not None, entry.nprobe == entry.nlist) == (exact_wins, exact_wins)
    assert (entry.recall == 1.0, entry.tuned_recall == 1.0) == (exact_wins, exact_wins)
    assert (entry.recall_queries, entry.tuned_queries) == (20, 20)
    assert 0.3 < entry.recall <= 1
