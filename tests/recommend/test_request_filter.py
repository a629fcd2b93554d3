"""What a request asks to be left out: with a release's rules, in process and with recall behind a wire."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import numpy as np
import pytest
from friesian_services._pb import friesian_v1_pb2_grpc as v1_grpc
from tests.services import tiny_release
from tests.services.tiny_release import ITEMS, UNKNOWN_USER, item_id, user_id

from friesian_fast.errors import InvalidInputError
from friesian_fast.recall import Filter, ItemColumns, col
from friesian_fast.recommend import IndexRecall, Recommender, RulesStage, open_recall, open_recommender, rules
from friesian_fast.release.open import open_release
from friesian_services import wire
from friesian_services.client import RemoteRecall, connect
from friesian_services.recall.servicer import CandidatesServicer

DENIED, PINNED, DEAREST = 3, 77, 0.9  # by the release's rules
CHEAP = '{"col": "price", "lt": 0.03}'


@pytest.fixture(scope="module", params=[False, True], ids=["int64", "string"])
def string_ids(request):
    return request.param


@pytest.fixture(scope="module")
def ruled(tmp_path_factory, string_ids):
    """A release with rules, and the numbers of the items that user 7 had."""
    releases, had = tiny_release.build_ruled(
        tmp_path_factory.mktemp("ruled"),
        string_ids=string_ids,
        hide_seen=True,
        deny=[item_id(DENIED, string_ids)],
        where={"col": "price", "lt": DEAREST},
        pins=[{"id": item_id(PINNED, string_ids), "place": 1}],
    )
    return open_release(releases), {n for n in range(ITEMS) if item_id(n, string_ids) in had}


@contextmanager
def behind_a_wire(release, recall=None):
    """The chain with recall in a gRPC server."""
    kind = release.spec.row_set("user").id_type
    source = recall or open_recall(release, release.index(), release.row_store("user_vector"))
    server = grpc.server(ThreadPoolExecutor(2))
    v1_grpc.add_RecallServicer_to_server(CandidatesServicer(source, kind, kind, release.id), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    remote = RemoteRecall(connect("recall", f"127.0.0.1:{port}"), kind, kind, release.id)
    stores = {"users": release.row_store("user"), "items": release.row_store("item")}
    chain = Recommender(release, **stores, recall=remote, ranker=release.ranker(), rules=RulesStage.of(release))
    yield chain
    chain.close()
    server.stop(None)


@pytest.fixture(scope="module", params=["in process", "recall behind a wire"])
def chain(ruled, request):
    if request.param == "in process":
        yield open_recommender(ruled[0])
    else:
        with behind_a_wire(ruled[0]) as opened:
            yield opened


def expected(user, numbers):
    """The numbers of items in the order of the model's scores, computed one by one."""
    users, items = tiny_release.features()
    age, spend = users["age"][user], users["spend"][user]
    at = sorted(numbers)
    scores = tiny_release.expected_scores(age, spend, items["price"][at], items["tags"][at], items["genre"][at])
    return [at[i] for i in np.argsort(-scores, kind="stable")]


def by_the_rules(user, had):
    """What the release lets a user see, the pinned item aside."""
    price = tiny_release.features()[1]["price"]
    return {n for n in range(ITEMS) if price[n] < DEAREST and n != DENIED and not (user == 7 and n in had)}


PRICE, GENRE = (tiny_release.features()[1][name] for name in ("price", "genre"))
SOME = [*range(0, ITEMS, 40), DENIED]


@pytest.mark.parametrize("user", [7, 8])
@pytest.mark.parametrize(
    ("parts", "lets_through"),
    [
        ({"allow": SOME}, lambda n: n in SOME),
        ({"where": '{"col": "genre", "eq": 4}'}, lambda n: GENRE[n] == 4),
        ({"where": (col("genre") == 4) | (col("price") > 2)}, lambda n: GENRE[n] == 4),
        ({"where": CHEAP, "allow": range(ITEMS)}, lambda n: PRICE[n] < 0.03),
        ({"allow": SOME, "deny": SOME[:4], "seen": SOME[4:6]}, lambda n: n in SOME[6:]),
        ({"allow": range(0, ITEMS, 9), "where": '{"col": "genre", "lt": 9}'}, lambda n: n % 9 == 0 and GENRE[n] < 9),
    ],
)
def test_a_narrow_filter_is_answered_exactly_and_the_rules_hold_too(
    chain, ruled, string_ids, user, parts, lets_through
):
    """All that is left is answered in the order of the scores, the pin first where the filter lets it through."""
    given = {
        name: value if name == "where" else [item_id(n, string_ids) for n in value] for name, value in parts.items()
    }
    if "seen" in given:
        given["seen"] = [given["seen"]]
    answer = chain.recommend(user_id(user, string_ids), k=ITEMS, candidates=ITEMS, filter=Filter(**given))
    left = {n for n in by_the_rules(user, ruled[1]) if lets_through(n)}
    wanted = expected(user, left)
    if PINNED in left:
        wanted.remove(PINNED)
        wanted.insert(0, PINNED)
    assert answer.fallback is None
    assert list(answer.ids) == [item_id(n, string_ids) for n in wanted]
    assert len(wanted) > 3


def test_a_wide_filter_leaves_a_full_answer(chain, ruled, string_ids):
    user = user_id(8, string_ids)
    shown = list(chain.recommend(user, k=20, candidates=100).ids)
    answer = chain.recommend(user, k=20, candidates=100, filter=Filter(deny=shown[1:11]))
    assert len(answer.ids) == 20
    assert not set(shown[1:11]) & set(answer.ids)
    everything = chain.recommend(user, k=20, candidates=100, filter=Filter())
    assert list(everything.ids) == shown


def test_the_pin_and_the_popular_follow_the_filter(chain, string_ids):
    user, pin = user_id(8, string_ids), item_id(PINNED, string_ids)
    assert chain.recommend(user, k=5, candidates=50).ids[0] == pin
    for asked in (Filter(deny=[pin]), Filter(seen=[[pin]]), col("price") != float(PRICE[PINNED])):
        assert pin not in set(chain.recommend(user, k=ITEMS, candidates=ITEMS, filter=asked).ids)
    stranger = "nobody" if string_ids else UNKNOWN_USER
    wanted = [n for n in range(60) if PRICE[n] < DEAREST and n != DENIED and GENRE[n] > 8 and n != 20]
    asked = Filter(where=col("genre") > 8, deny=[item_id(20, string_ids)])
    answer = chain.recommend(stranger, k=10, filter=asked)
    assert "no vector" in answer.fallback
    assert list(answer.ids) == [item_id(n, string_ids) for n in wanted[:10]]


def test_where_nothing_is_left_nothing_is_answered(chain, string_ids):
    for user in (user_id(8, string_ids), "nobody" if string_ids else UNKNOWN_USER):
        for asked in (Filter(allow=[]), col("price") > 5):
            answer = chain.recommend(user, filter=asked)
            assert len(answer.ids) == len(answer.scores) == 0
            assert answer.fallback is not None
    assert "leave no item" in chain.recommend(user_id(8, string_ids), filter=Filter(allow=[])).fallback


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Filter(where=col("colour") == "red"), "filter.where: the items have no column 'colour'.*genre, price"),
        (Filter(where=col("price") == "x"), "filter.where: column 'price' is float32 and cannot be compared with 'x'"),
        (Filter(where='{"and": [{"col": 3}]}'), r"filter.where.and\[0\].col must be a column's name"),
        (Filter(where="{"), "filter.where is not valid JSON"),
        (Filter(deny=[1.5]), "filter.deny: "),
        (Filter(allow=[[1], [1, 2]]), "filter.allow: "),
        (Filter(seen=[[None]]), "filter.seen: "),
        (Filter(seen=[[], []]), "filter.seen has 2 lists; a request has one"),
        ({"deny": [1]}, "a filter is a condition on columns or a Filter, got dict"),
    ],
)
def test_a_filter_that_cannot_be_applied_is_an_error_not_a_fallback(chain, string_ids, asked, message):
    with pytest.raises(InvalidInputError, match=message):
        chain.recommend(user_id(8, string_ids), filter=asked)


def test_where_must_be_a_condition():
    with pytest.raises(InvalidInputError, match=r"filter.where is a condition made with col\(...\)"):
        Filter(where={"col": "price", "lt": 1})


def test_a_release_without_columns_says_so(releases):
    with pytest.raises(InvalidInputError, match="filter.where: .* has no item columns to filter by"):
        open_recommender(open_release(releases)).recommend(user_id(3), filter=col("price") < 1)


def test_a_condition_is_compiled_once_and_few_are_kept(ruled, string_ids, monkeypatch):
    """Equal texts share one pass over the columns; ids are not kept; the oldest condition goes first."""
    monkeypatch.setattr(rules, "_CONDITIONS", 3)
    compiled = []
    compile_columns = ItemColumns.compile
    monkeypatch.setattr(
        ItemColumns, "compile", lambda self, predicate: compiled.append(predicate) or compile_columns(self, predicate)
    )
    recommender, user = open_recommender(ruled[0]), user_id(8, string_ids)
    compiled.clear()
    for n in range(4):
        asked = Filter(where='{"col": "genre", "gt": 2}', deny=[item_id(n, string_ids)])
        assert item_id(n, string_ids) not in set(recommender.recommend(user, k=50, filter=asked).ids)
    assert len(compiled) == 1
    for genre in range(10):
        recommender.recommend(user, filter=Filter(where=f'{{"col": "genre", "gt": {genre}}}'))
    assert len(compiled) == 10  # the third of them was there
    assert recommender._rules._meeting.cache_info().currsize == 3


class Older:
    """A recall service of before: it does not know of filters."""

    def __init__(self, source):
        self._source = source

    def SearchCandidates(self, request, context):  # noqa: N802 -- gRPC's name
        found = self._source.candidates(wire.one_id(request.user, self._source._vectors.row_set.id_type), request.k)
        return wire.candidates_to_message(found, request.release_id)


def test_a_recall_service_that_ignores_the_filter_is_not_believed(ruled, string_ids):
    release = ruled[0]
    source = open_recall(release, release.index(), release.row_store("user_vector"))
    assert isinstance(source, IndexRecall)
    server = grpc.server(ThreadPoolExecutor(1))
    v1_grpc.add_RecallServicer_to_server(Older(source), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    kind = release.spec.row_set("user").id_type
    remote = RemoteRecall(connect("recall", f"127.0.0.1:{port}"), kind, kind, release.id)
    stores = {"users": release.row_store("user"), "items": release.row_store("item")}
    chain = Recommender(release, **stores, recall=remote, ranker=release.ranker(), rules=RulesStage.of(release))
    user = user_id(8, string_ids)
    assert chain.recommend(user).fallback is None
    answer = chain.recommend(user, filter=Filter(deny=[item_id(0, string_ids)]))
    assert "did not follow the request's filter; run all services with the same version" in answer.fallback
    assert answer.ids[0] == item_id(1, string_ids)
    chain.close()
    server.stop(None)


class Counting:
    """Counts how often a user's filter is made."""

    def __init__(self, stage):
        self.stage, self.made = stage, 0

    def filter_for(self, user, asked=None):
        self.made += 1
        return self.stage.filter_for(user, asked)

    def pins_for(self, allowed):
        return self.stage.pins_for(allowed)


def test_lists_of_candidates_follow_the_filter(tmp_path, string_ids):
    """The list, what fills it up, and the pin; the filter is made once for all of them."""
    releases, had = tiny_release.build_ruled(
        tmp_path, string_ids=string_ids, lists=True, hide_seen=True, pins=[{"id": item_id(77, string_ids), "place": 1}]
    )
    release = open_release(releases)
    user, item, score, _ = tiny_release.candidates()
    mine = np.flatnonzero(user == 7)
    listed = [item_id(n, string_ids) for n in item[mine[np.argsort(-score[mine])]].tolist()]
    listed = [one for one in listed if one not in had]
    index = release.index()
    counting = Counting(RulesStage.of(release, index))
    recall = open_recall(release, index, release.row_store("user_vector"), rules=counting)
    asked = Filter(deny=[listed[0], item_id(77, string_ids)], seen=[[listed[2]]], where=col("price") < 0.8)
    cheap = {item_id(n, string_ids) for n in range(ITEMS) if PRICE[n] < 0.8}
    found = list(recall.candidates(user_id(7, string_ids), 100, asked).ids)
    kept = [one for one in listed if one in cheap and one not in (listed[0], listed[2], item_id(77, string_ids))]
    assert found[: len(kept)] == kept
    assert len(found) == len(set(found)) == 100
    assert set(found) <= cheap - had - {listed[0], listed[2], item_id(77, string_ids)}
    assert counting.made == 1
    narrow = Filter(allow=[listed[1], item_id(50, string_ids), item_id(60, string_ids)])
    allowed = {listed[1], item_id(50, string_ids), item_id(60, string_ids)} - had
    assert set(recall.candidates(user_id(7, string_ids), 100, narrow).ids) == allowed
    assert counting.made == 2
    recall.close()
