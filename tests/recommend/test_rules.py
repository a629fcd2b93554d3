"""The rules stage on a small index: what is left out, and the order after ranking."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from tests.reference import rules as reference

from friesian_fast.errors import InvalidInputError, SchemaMismatchError
from friesian_fast.recall import IvfIndex, col
from friesian_fast.recommend import RulesStage
from friesian_fast.recommend.stages import Candidates, with_pins
from friesian_fast.release.open import PopularItem
from friesian_fast.release.rules import Boost, Cap, Pin, Rules
from friesian_fast.release.seen import PLACE, SeenStore, seen_row_set
from friesian_fast.spec import Column, RowSet
from friesian_fast.store import MappedRowStore

N = 40
TAG = b"8 bytes."
VECTORS = np.random.default_rng(0).standard_normal((N, 6)).astype(np.float32)
GENRE = [None if i % 7 == 0 else "abc"[i % 3] for i in range(N)]
IDS = np.arange(N, dtype=np.int64) + 100


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    index = IvfIndex.build(VECTORS, IDS, path=tmp_path_factory.mktemp("index") / "i.idx", nlist=2)
    return index.with_columns(index.align(IDS, {"genre": pa.array(GENRE), "price": pa.array(np.arange(N) / N)}))


@pytest.fixture(scope="module")
def stores(index, tmp_path_factory):
    directory = tmp_path_factory.mktemp("rows")
    user = RowSet(name="user", id_column="u", id_type="int64", columns=(Column(name="x", type="int32"),))
    seen = seen_row_set(user, 3)
    places = index.positions(IDS[[0, 1, 2, 5]]).astype(np.int32) + 1
    lists = pa.array([places[:3].tolist(), places[3:].tolist()], pa.list_(pa.int32()))
    MappedRowStore.write(directory / "seen", seen, TAG, np.array([1, 2]), {PLACE: lists})
    embedding = Column(name="embedding", type="float32", kind="fixed", length=6)
    vector = RowSet(name="item_vector", id_column="i", id_type="int64", columns=(embedding,))
    MappedRowStore.write(directory / "vectors", vector, TAG, IDS, {"embedding": VECTORS})
    return {
        "seen": SeenStore(MappedRowStore.open(directory / "seen", seen, TAG), TAG),
        "vectors": MappedRowStore.open(directory / "vectors", vector, TAG),
    }


def user(number):
    return np.array([number], np.int64)


SCORES = np.random.default_rng(1).random(N).astype(np.float32)


def ranking(scores=SCORES):
    return np.argsort(-scores, kind="stable").tolist()


def test_no_rules_is_the_ranking(index):
    stage = RulesStage(Rules(), index)
    assert stage.looked_at(3) == 3
    order, scores = stage.order(IDS, SCORES, 10)
    assert order.tolist() == ranking()[:10]
    assert scores.tolist() == SCORES.tolist()
    assert stage.filter_for(user(1)) is None


def test_boosts_multiply_and_raise_negative_scores(index):
    rules = Rules(boosts=(Boost(where=col("price") < 0.5, factor=2.0), Boost(where=col("genre") == "a", factor=1.5)))
    given = SCORES - np.float32(0.5)
    stage = RulesStage(rules, index)
    assert stage.looked_at(3) is None
    order, scores = stage.order(IDS, given, N)
    factor = np.where(np.arange(N) / N < 0.5, 2.0, 1.0) * np.where(np.array(GENRE) == "a", 1.5, 1.0)
    np.testing.assert_allclose(scores, np.where(given >= 0, given * factor, given / factor), rtol=1e-6)
    assert order.tolist() == ranking(scores)


def test_cap(index):
    order, _ = RulesStage(Rules(cap=Cap(column="genre", most=2)), index).order(IDS, SCORES, N)
    assert order.tolist() == reference.capped(ranking(), GENRE, 2)
    assert len(order) == 2 * 3 + GENRE.count(None)


def test_diversity(index, stores):
    stage = RulesStage(Rules(diversity=0.4), index, vectors=stores["vectors"])
    order, _ = stage.order(IDS, SCORES, 12)
    ranked = ranking()
    relevance = (SCORES[ranked] - SCORES.min()) / (SCORES.max() - SCORES.min())
    picks = reference.diversify(relevance, VECTORS[ranked], 12, 0.4)
    assert order.tolist() == [ranked[i] for i in picks]
    assert order.tolist() != ranked[:12]
    assert stage.order(IDS, np.zeros(N, np.float32), 12)[0][0] == 0


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_pins(index, k):
    worst = ranking()[-3:]
    pins = tuple(Pin(id=int(IDS[i]), place=place) for i, place in zip(worst, (1, 3, 4), strict=True))
    order, _ = RulesStage(Rules(pins=pins), index).order(IDS, SCORES, k)
    places = dict(zip(worst, (1, 3, 4), strict=True))  # those beyond k wait, and are not answered
    assert order.tolist() == reference.pinned(ranking(), places, k)
    assert order[0] == worst[0]
    assert len(order) == k


def test_all_in_this_order(index, stores):
    """Boosts, then the cap, then diversity, then pins; each is told."""
    pin = ranking()[-1]
    rules = Rules(
        boosts=(Boost(where=col("price") < 0.5, factor=3.0),),
        cap=Cap(column="genre", most=3),
        diversity=0.3,
        pins=(Pin(id=int(IDS[pin]), place=2),),
    )
    notes = []
    order, scores = RulesStage(rules, index, vectors=stores["vectors"]).order(IDS, SCORES, 6, notes.append)
    boosted = np.where(np.arange(N) / N < 0.5, SCORES * np.float32(3), SCORES)
    assert scores.tolist() == boosted.tolist()
    kept = reference.capped([i for i in ranking(boosted) if i != pin], GENRE, 3)
    ranked = boosted[kept]
    relevance = (ranked - ranked[-1]) / (ranked[0] - ranked[-1])
    picks = [kept[i] for i in reference.diversify(relevance, VECTORS[kept], 6, 0.3)]
    assert order.tolist() == reference.pinned(picks, {pin: 2}, 6)
    assert [note.split(":")[0].split()[0] for note in notes] == ["boosts[0]", "cap", "diversity", "pins"]
    assert notes[0] == "boosts[0]: 20 candidates by 3"


def test_a_list_that_is_long_costs_its_own_user_alone(index, tmp_path):
    lengths = {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 4096, 8: 4097, 9: 300_000}
    users = RowSet(name="user", id_column="u", id_type="int64", columns=(Column(name="x", type="int32"),))
    row_set = seen_row_set(users, max(lengths.values()))
    ends = np.cumsum([0, *lengths.values()])
    lists = pa.LargeListArray.from_arrays(ends, pa.array(np.arange(1, ends[-1] + 1, dtype=np.int32)))
    MappedRowStore.write(tmp_path / "seen", row_set, TAG, np.array(list(lengths)), {PLACE: lists})
    store = SeenStore(MappedRowStore.open(tmp_path / "seen", row_set, TAG), TAG)
    for number, begin, end in zip(lengths, ends, ends[1:], strict=False):
        assert store.positions(user(number)).tolist() == list(range(begin, end))
    assert store.positions(user(10)).tolist() == []
    tracemalloc.start()
    try:
        store.positions(user(6))
        assert tracemalloc.get_traced_memory()[1] < 20_000
    finally:
        tracemalloc.stop()
    damaged = SeenStore(MappedRowStore.open(tmp_path / "seen", row_set, TAG), b"another.")
    with pytest.raises(SchemaMismatchError):
        damaged.positions(user(6))
    stage = RulesStage(Rules(hide_seen=True), index, seen=store)
    assert stage.filter_for(user(1)) is None  # nothing to hide, nothing to copy


def test_filter_and_seen(index, stores):
    rules = Rules(hide_seen=True, deny=(100, 103), where=col("price") < 0.9)
    stage = RulesStage(rules, index, seen=stores["seen"])
    query = VECTORS[:1]

    def shown(number):
        return set(index.search(query, N, nprobe=2, filter=stage.filter_for(user(number)))[0][0].tolist()) - {-1}

    free = set(IDS[:36].tolist()) - {100, 103}
    assert shown(1) == free - {100, 101, 102}
    assert shown(2) == free - {105}
    assert shown(3) == free  # unknown here


def test_pins_yield_to_filters(index, stores):
    pins = tuple(Pin(id=item, place=place) for place, item in enumerate((101, 105, 110, 120), 1))
    stage = RulesStage(Rules(hide_seen=True, deny=(110,), pins=pins), index, seen=stores["seen"])
    assert stage.pins_for(stage.filter_for(user(1))) == [105, 120]
    assert stage.pins_for(stage.filter_for(user(2))) == [101, 120]
    assert RulesStage(Rules(pins=pins), index).pins_for(None) == [101, 105, 110, 120]


def test_pins_join_the_candidates():
    found = Candidates(ids=np.array([5, 6]), scores=np.array([2, 1], np.float32), user_found=True)
    joined = with_pins(found, [6, 9])
    assert joined.ids.tolist() == [5, 6, 9]
    assert joined.scores.tolist() == [2, 1, -np.inf]
    assert with_pins(found, [6]) is found
    texts = Candidates(ids=["a"], scores=np.ones(1, np.float32), user_found=True)
    assert with_pins(texts, ["b", "a"]).ids == ["a", "b"]


def test_popular_follows_the_rules(index, stores):
    items = [PopularItem(item, 0.1) for item in (100, 101, 105, 139, 106)]
    stage = RulesStage(Rules(hide_seen=True, deny=(106,), where=col("price") < 0.9), index, seen=stores["seen"])
    assert [item.id for item in stage.popular(items, user(1), 1)] == [105]
    assert [item.id for item in stage.popular(items, user(2), 2)] == [100, 101]
    assert [item.id for item in stage.popular(items, user(3), 3)] == [100, 101, 105]


def test_popular_is_filled_up_with_what_the_rules_let_through(index, stores):
    items = [PopularItem(item, 0.1) for item in (100, 101, 105, 139, 106)]
    stage = RulesStage(Rules(hide_seen=True, deny=(106,), where=col("price") < 0.9), index, seen=stores["seen"])
    shown = stage.popular(items, user(1), 99)
    allowed = {int(item) for item in IDS[:36]} - {100, 101, 102, 106}
    assert [item.score for item in shown] == [0.1] + [0.0] * (len(allowed) - 1)
    assert len(shown) == len(allowed)
    assert {item.id for item in shown} == allowed
    assert stage.popular(items, user(1), 5) == shown[:5]
    assert RulesStage(Rules(), index).popular(items, user(1), 99) == items


def test_pins_without_a_filter_of_the_user_are_not_looked_at_again(index, monkeypatch):
    """They were chosen by the same rules when the release was opened."""
    stage = RulesStage(Rules(where=col("price") < 0.5, pins=(Pin(id=101, place=1), Pin(id=139, place=2))), index)
    monkeypatch.setattr("friesian_fast.recall.CompiledFilter.lets_through", lambda *_: pytest.fail("looked at"))
    assert stage.pins_for(stage.filter_for(user(1))) == [101]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (Rules(pins=(Pin(id=1, place=1),)), "the pinned item 1 is not in the catalogue"),
        (Rules(where=col("colour") == "red"), "no column 'colour'"),
        (Rules(boosts=(Boost(where=col("price") == "x", factor=2.0),)), "column 'price' is float64"),
        (Rules(cap=Cap(column="price", most=1)), "which is a float; use a category"),
    ],
)
def test_check_rejects(index, rules, message):
    with pytest.raises(InvalidInputError, match=message):
        rules.check(index)
    if not rules.pins:
        with pytest.raises(InvalidInputError, match="need item columns"):
            rules.check(IvfIndex.open(index.path))
