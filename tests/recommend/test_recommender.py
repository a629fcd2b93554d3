from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from tests.services import tiny_release
from tests.services.tiny_release import UNKNOWN_USER, USERS, item_id, user_id

from friesian_fast.errors import InvalidInputError, UnavailableError
from friesian_fast.recommend import (
    Candidates,
    IndexRecall,
    Recommender,
    RulesStage,
    TooFewCandidatesError,
    open_recall,
    open_recommender,
)
from friesian_fast.release.open import open_release


@pytest.fixture(scope="module")
def release(releases):
    return open_release(releases)


@pytest.fixture(scope="module")
def recommender(release):
    return open_recommender(release)


class Proposes:
    """A recall stage with a fixed answer, or a failure."""

    def __init__(self, ids=(), error=None, then=lambda: None):
        self.ids, self.error, self.then = list(ids), error, then

    def candidates(self, user_id, k, asked=None):
        self.then()
        if self.error:
            raise self.error
        ids = np.array(self.ids[:k], np.int64)
        return Candidates(ids=ids, scores=np.zeros(len(ids), np.float32), user_found=True)


class Scores:
    """A ranker with a fixed answer, or a failure."""

    def __init__(self, scores=None, error=None):
        self.scores, self.error = scores, error

    def score(self, inputs, shown=None):
        self.shown = shown
        if self.error:
            raise self.error
        n = len(inputs["price"])
        return np.zeros(n, np.float32) if self.scores is None else np.array(self.scores[:n], np.float32)


def chain(release, recall, ranker, **more):
    return Recommender(
        release,
        users=release.row_store("user"),
        items=release.row_store("item"),
        recall=recall,
        ranker=ranker,
        rules=RulesStage.of(release),
        **more,
    )


def reference(release, user, k, candidates, string_ids=False):
    """The obvious way: the proposed items, each scored alone in NumPy, sorted."""
    recall = open_recall(release, release.index(), release.row_store("user_vector"))
    proposed = recall.candidates(user_id(user, string_ids), candidates).ids
    users, items = tiny_release.features()
    number = {item_id(n, string_ids): n for n in range(tiny_release.ITEMS)}
    scored = []
    for item in proposed:
        n = number[item if string_ids else int(item)]
        score = tiny_release.expected_scores(
            users["age"][user], users["spend"][user], items["price"][n], items["tags"][n : n + 1], items["genre"][n]
        )
        scored.append((-float(score[0]), item))
    return [item for _, item in sorted(scored, key=lambda pair: pair[0])[:k]]


@pytest.mark.parametrize("user", [0, 7, 298])
@pytest.mark.parametrize(("k", "candidates"), [(1, 1), (10, 50), (50, 50), (100, 500)])
def test_the_best_of_the_proposed(release, recommender, user, k, candidates):
    answer = recommender.recommend(user_id(user), k=k, candidates=candidates)
    assert answer.fallback is None
    assert list(answer.ids) == reference(release, user, k, candidates)
    assert answer.ids.dtype == np.int64
    assert answer.scores.dtype == np.float32
    assert (np.diff(answer.scores) <= 0).all()


@pytest.mark.parametrize("explain", [False, True])
def test_the_ranker_is_told_how_many_scores_are_looked_at(release, explain):
    ranker = Scores()
    chain(release, Proposes([item_id(n) for n in range(40)]), ranker).recommend(user_id(3), k=7, explain=explain)
    assert ranker.shown == 7


def test_string_ids(string_releases):
    release = open_release(string_releases)
    answer = open_recommender(release).recommend(user_id(7, True), k=10, candidates=50)
    assert answer.ids == reference(release, 7, 10, 50, string_ids=True)
    assert open_recommender(release).recommend("nobody").ids[:2] == [item_id(0, True), item_id(1, True)]


def test_defaults_are_ten_of_fifty(release, recommender):
    answer = recommender.recommend(user_id(3))
    assert list(answer.ids) == reference(release, 3, 10, 50)


@pytest.mark.parametrize(
    ("user", "why"), [(UNKNOWN_USER, "user 99999 has no vector"), (user_id(USERS - 1), "user 300 has no vector")]
)
def test_a_user_without_vector_gets_the_popular(release, recommender, user, why):
    answer = recommender.recommend(user, k=5)
    assert why in answer.fallback
    assert list(answer.ids) == [item_id(n) for n in range(5)]
    assert answer.scores[0] == np.float32(60 / (60 * 61 / 2))


def test_a_user_without_features_gets_the_popular(release):
    answer = chain(release, Proposes([1000]), Scores()).recommend(UNKNOWN_USER, k=1)
    assert "user 99999 has no features" in answer.fallback


@pytest.mark.parametrize(
    ("recall", "ranker"),
    [
        (Proposes(error=UnavailableError("recall is down")), Scores()),
        (Proposes([1000]), Scores(error=UnavailableError("ranking is down"))),
    ],
    ids=["recall", "ranking"],
)
def test_a_failed_stage_gives_the_popular(release, recall, ranker):
    answer = chain(release, recall, ranker).recommend(user_id(0), k=3)
    assert "is down" in answer.fallback
    assert len(answer.ids) == 3


def test_a_defect_is_not_hidden(release):
    with pytest.raises(ZeroDivisionError):
        chain(release, Proposes(error=ZeroDivisionError()), Scores()).recommend(user_id(0))


def test_items_without_a_row_are_left_out(release):
    ids = [5, item_id(0), 6, item_id(1)]
    answer = chain(release, Proposes(ids), Scores([0.1, 0.9])).recommend(user_id(0), k=4)
    assert list(answer.ids) == [item_id(1), item_id(0)]
    assert "none of the 2 candidates" in chain(release, Proposes([5, 6]), Scores()).recommend(user_id(0)).fallback


def test_equal_scores_keep_the_order_of_recall(release):
    ids = [item_id(n) for n in (9, 3, 7)]
    assert list(chain(release, Proposes(ids), Scores()).recommend(user_id(0), k=3).ids) == ids


@pytest.mark.parametrize(
    ("user", "k", "candidates", "error", "message"),
    [
        (1, 0, 50, InvalidInputError, "k is 0"),
        (1, 10, 9, TooFewCandidatesError, "^CandidateNum should be larger than recommendNum\\."),
        (1, 10, 501, InvalidInputError, "candidates \\(canK\\) is 501.*500 items"),
        (1, 501, None, InvalidInputError, "k is 501"),
        (1, 2.5, None, InvalidInputError, "k must be a whole number, got 2.5"),
        (1, "3", None, InvalidInputError, "k must be a whole number, got '3'"),
        (1, True, None, InvalidInputError, "k must be a whole number, got True"),
        (1, float("nan"), None, InvalidInputError, "k must be a whole number, got nan"),
        (1, 10, 20.0, InvalidInputError, "candidates must be a whole number, got 20.0"),
        (1, 10, 10_001, InvalidInputError, "may rank 10000"),
        ("1", 10, 50, InvalidInputError, "'1' is not of type int64"),
        (True, 10, 50, InvalidInputError, "True is not of type int64"),
        (2**63, 10, 50, InvalidInputError, "64 bits"),
    ],
)
def test_requests_that_cannot_be(recommender, user, k, candidates, error, message):
    with pytest.raises(error, match=message):
        recommender.recommend(user, k=k, candidates=candidates)


def test_recall_bounds_k(release):
    recall = open_recall(release, release.index(), release.row_store("user_vector"))
    for k in (0, 10_001):
        with pytest.raises(InvalidInputError, match=f"k is {k}"):
            recall.candidates(1, k)


def test_recall_leaves_out_the_padding(release):
    """Fewer vectors than k: no -1 reaches the caller."""
    index = release.index()
    everything = SimpleNamespace(search=partial(index.search, nprobe=index.nlist))
    rules = RulesStage.of(release, index)
    found = IndexRecall(everything, release.row_store("user_vector"), "int64", rules).candidates(1, 600)
    assert sorted(found.ids) == [item_id(n) for n in range(tiny_release.ITEMS)]


def test_the_users_row_is_fetched_while_recall_runs(release):
    """It is begun before recall and waited for behind it."""
    users, seen = release.row_store("user"), []

    def begin(ids):
        seen.append(("begun", ids.tolist()))
        return lambda: (seen.append("waited for"), users.find(ids))[1]

    recall = Proposes([item_id(0)], then=lambda: seen.append("recalled"))
    made = Recommender(
        release,
        users=users,
        items=release.row_store("item"),
        recall=recall,
        ranker=Scores(),
        rules=RulesStage.of(release),
        ahead=begin,
    )
    assert made.recommend(user_id(0), k=1).fallback is None
    assert seen == [("begun", [user_id(0)]), "recalled", "waited for"]


def test_rules_of_a_release(tmp_path):
    """Seen items are gone for their user, the cap holds, the pin has its place, and the explanation tells."""
    pin = item_id(77)
    releases, seen = tiny_release.build_ruled(
        tmp_path, hide_seen=True, cap={"column": "genre", "most": 1}, pins=[{"id": pin, "place": 2}], deny=[item_id(0)]
    )
    recommender = open_recommender(open_release(releases))
    answer = recommender.recommend(user_id(7), k=8, candidates=100, explain=True)
    shown = answer.ids.tolist()
    assert shown[1] == pin
    assert not seen & set(shown)
    _, items = tiny_release.features()
    number = {item_id(n): n for n in range(tiny_release.ITEMS)}
    genres = [int(items["genre"][number[item]]) for item in shown if item != pin]
    assert len(set(genres)) == len(genres) == 7
    told = answer.explanation
    assert told.rules[0].startswith("cap: ")
    assert told.rules[1] == f"pins: item {pin} at place 2"
    assert not seen & set(told.candidates.tolist())
    assert len(told.candidates) in (100, 101)
    assert (told.scores == told.ranker_scores).all()
    other = recommender.recommend(user_id(8), k=8, candidates=100)
    assert other.explanation is None
    fallback = recommender.recommend(UNKNOWN_USER, k=3)
    assert fallback.fallback is not None
    assert fallback.ids.tolist() == [item_id(1), item_id(2), item_id(3)]
    recommender.close()
