"""Ranked lists: known answers, definitions, trec_eval, and what is refused."""

import math

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import evaluate as reference

from friesian_fast.errors import InvalidInputError
from friesian_fast.evaluate import Relevant, mean, ranking_metrics, top_lists

LISTS = np.array([[3, 0, 5, 1], [2, 4, -1, -1], [-1, -1, -1, -1], [0, 1, 2, 3]])
RELEVANT = Relevant.from_pairs(np.array([0, 0, 0, 1, 2, 2]), np.array([0, 1, 9, 4, 7, 8]), users=4)


def test_known_answers_of_four_users():
    metrics = ranking_metrics(RELEVANT.hits(LISTS), RELEVANT.totals, [1, 4])
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    expected = {
        "recall@1": [0, 0, 0],
        "recall@4": [2 / 3, 1, 0],
        "precision@4": [2 / 4, 1 / 4, 0],
        "ndcg@4": [(1 / math.log2(3) + 1 / math.log2(5)) / ideal, 1 / math.log2(3), 0],
        "map@4": [(1 / 2 + 2 / 4) / 3, 1 / 2, 0],
        "mrr@4": [1 / 2, 1 / 2, 0],
        "hit_rate@4": [1, 1, 0],
        "hit_rate@1": [0, 0, 0],
    }
    for name, values in expected.items():
        assert metrics[name][:3].tolist() == pytest.approx(values), name
    assert all(np.isnan(values[3]) for values in metrics.values())
    assert mean(metrics["recall@4"]) == pytest.approx(5 / 9)
    assert len(metrics) == 12


def test_equal_scores_are_ordered_by_item_and_short_lists_padded():
    user, item = np.array([0, 0, 0, 2]), np.array([5, 1, 3, 0])
    lists = top_lists(user, item, np.array([1.0, 1.0, 2.0, -4.0]), users=3, k=2)
    assert lists.tolist() == [[3, 1], [-1, -1], [0, -1]]


def test_no_pairs_and_no_users():
    none = np.zeros(0, np.int64)
    assert top_lists(none, none, np.zeros(0), users=2, k=3).tolist() == [[-1] * 3] * 2
    empty = Relevant.from_pairs(none, none, users=2)
    assert not empty.hits(np.array([[1, 2], [3, -1]])).any()
    assert Relevant.from_pairs(none, none, users=0).hits(np.zeros((0, 5), np.int64)).shape == (0, 5)
    with pytest.raises(InvalidInputError, match="no user has a relevant item"):
        mean(ranking_metrics(empty.hits(np.array([[1], [2]])), empty.totals, [1])["ndcg@1"])


def test_of_items_keeps_all_users():
    kept = RELEVANT.of_items(np.arange(10) >= 5)
    assert kept.totals.tolist() == [1, 0, 2, 0]
    assert kept.items.tolist() == [9, 7, 8]
    assert kept.users.tolist() == [0, 2, 2]


tables = st.lists(
    st.tuples(
        st.dictionaries(st.integers(0, 12), st.integers(-3, 3), max_size=12),
        st.frozensets(st.integers(0, 12), max_size=6),
    ),
    min_size=1,
    max_size=6,
)


def arrays(table):
    pairs = [(user, item, score) for user, (scored, _) in enumerate(table) for item, score in scored.items()]
    wanted = [(user, item) for user, (_, relevant) in enumerate(table) for item in relevant]
    scored = np.array(pairs, np.int64).reshape(-1, 3)
    positive = np.array(wanted, np.int64).reshape(-1, 2)
    return scored, Relevant.from_pairs(positive[:, 0], positive[:, 1], users=len(table))


@settings(max_examples=150, deadline=None)
@given(tables, st.integers(1, 14))
def test_every_metric_is_its_definition(table, k):
    scored, relevant = arrays(table)
    lists = top_lists(*scored.T, users=len(table), k=k)
    metrics = ranking_metrics(relevant.hits(lists), relevant.totals, [k])
    for user, (scores, wanted) in enumerate(table):
        ranked = reference.top_list(scores, k)
        assert lists[user].tolist() == ranked + [-1] * (k - len(ranked))
        for name, definition in reference.METRICS.items():
            value = metrics[f"{name}@{k}"][user]
            assert np.isnan(value) if not wanted else value == pytest.approx(definition(ranked, wanted, k)), name


def test_trec_eval_agrees():
    rng = np.random.default_rng(4)
    users, items, k = 40, 200, 10
    lists = np.array([rng.permutation(items)[:30] for _ in range(users)])
    pairs = np.array([(user, item) for user in range(users) for item in rng.permutation(items)[: 1 + user % 25]])
    relevant = Relevant.from_pairs(*pairs.T, users=users)
    ours = ranking_metrics(relevant.hits(lists), relevant.totals, [k])
    qrels = [ir_measures.Qrel(str(user), str(item), 1) for user, item in pairs]
    run = [
        ir_measures.ScoredDoc(str(user), str(item), float(-place))
        for user, ranked in enumerate(lists)
        for place, item in enumerate(ranked)
    ]
    for name, theirs in {"recall": "R", "precision": "P", "ndcg": "nDCG", "map": "AP", "hit_rate": "Success"}.items():
        measure = ir_measures.parse_measure(f"{theirs}@{k}")
        for result in ir_measures.iter_calc([measure], qrels, run):
            value = ours[f"{name}@{k}"][int(result.query_id)]
            assert value == pytest.approx(result.value, abs=1e-9), (name, result.query_id)
    whole = ranking_metrics(relevant.hits(lists), relevant.totals, [30])["mrr@30"]
    for result in ir_measures.iter_calc([ir_measures.RR], qrels, run):
        assert whole[int(result.query_id)] == pytest.approx(result.value, abs=1e-9)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ([[1, 2, 1]], "item 1 is twice in the list of row 0"),
        ([[1, -1, 2]], "row 0 has padding"),
        ([[-2, 1, 3]], "item number -2"),
        ([[1.0, 2.0]], "they must be integers"),
        ([1, 2], "they must be integers"),
        ([[1], [2]], "2 lists for 1 users"),
    ],
)
def test_broken_lists_are_refused(lists, message):
    relevant = Relevant.from_pairs(np.array([0]), np.array([1]), users=1)
    with pytest.raises(InvalidInputError, match=message):
        relevant.hits(np.array(lists))


@pytest.mark.parametrize(
    ("user", "item", "message"),
    [
        ([0, 0], [1, 1], "user 0 has item 1 twice"),
        ([0, 2], [1, 1], "user number 2 is out of range"),
        ([0, -1], [1, 1], "user number -1 is out of range"),
        ([0, 1], [1, -7], "item number -7 is out of range"),
        ([0, 1], [1.5, 2], "item numbers are float64"),
        ([0, 1], [1], "both must be"),
    ],
)
def test_broken_pairs_are_refused(user, item, message):
    with pytest.raises(InvalidInputError, match=f"the relevant items: .*{message}"):
        Relevant.from_pairs(np.array(user), np.array(item), users=2)
    with pytest.raises(InvalidInputError, match=f"the predictions: .*{message}"):
        top_lists(np.array(user), np.array(item), np.arange(2.0), users=2, k=1)


@pytest.mark.parametrize(
    ("score", "k", "message"),
    [
        ([1.0, math.nan], 1, "score nan in row 1"),
        ([1.0, math.inf], 1, "score inf in row 1"),
        ([1.0], 1, "1 scores for 2 pairs"),
        ([1.0, 2.0], 0, "k is 0"),
    ],
)
def test_broken_scores_are_refused(score, k, message):
    with pytest.raises(InvalidInputError, match=message):
        top_lists(np.array([0, 1]), np.array([0, 1]), np.array(score), users=2, k=k)


@pytest.mark.parametrize(
    ("hits", "totals", "k", "message"),
    [
        ([[True, True]], [1], 2, "row 0 has 2 hits, but only 1"),
        ([[True]], [1, 1], 1, "they must be"),
        ([[True]], [1], 0, "k is 0"),
    ],
)
def test_hits_that_cannot_be_are_refused(hits, totals, k, message):
    with pytest.raises(InvalidInputError, match=message):
        ranking_metrics(np.array(hits), np.array(totals), [k])
