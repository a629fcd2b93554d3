"""Features and proposals see only the past, weights and metrics have known answers."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from tests.usecases.online_retail import lines

from friesian_fast.usecases.online_retail.baselines import blend
from friesian_fast.usecases.online_retail.collaborative import ease, gram, item_knn
from friesian_fast.usecases.online_retail.data import clean
from friesian_fast.usecases.online_retail.evaluate import best, both_ways, list_metrics, means, truth_of
from friesian_fast.usecases.online_retail.examples import Moment, examples
from friesian_fast.usecases.online_retail.features import (
    WORD_BINS,
    Vocabularies,
    feature_spec,
    item_features,
    item_words,
    user_features,
)
from friesian_fast.usecases.online_retail.history import History
from friesian_fast.usecases.online_retail.proposals import ProposalSettings

CUT = pd.Timestamp("2011-06-01")
MONTHS = (pd.Timestamp("2011-05-01"), CUT)
FEW = ProposalSettings(count=10)


def random_sales(seed=0, n=3000, users=60, items=80):
    rng = np.random.default_rng(seed)
    times = pd.Timestamp("2011-01-01") + pd.to_timedelta(rng.integers(0, 200 * 24, n), unit="h")
    words = ["HEART", "LIGHT", "RED", "MUG", "BAG", "RETRO"]
    frame = pd.DataFrame(
        {
            "InvoiceNo": rng.integers(500_000, 500_400, n).astype(str),
            "StockCode": [f"{20_000 + i}" for i in rng.zipf(1.5, n) % items],
            "Description": [" ".join(rng.choice(words, 2, replace=False)) for _ in range(n)],
            "Quantity": rng.integers(1, 50, n).astype(float),
            "InvoiceDate": times,
            "UnitPrice": rng.random(n) * 10 + 0.1,
            "CustomerID": rng.integers(12_000, 12_000 + users, n).astype(float),
            "Country": rng.choice(["United Kingdom", "France"], n),
        }
    )
    return clean(frame)[0]


def test_features_do_not_change_with_what_comes_after():
    sales = random_sales()
    vocabularies = Vocabularies(sales[sales["time"] < CUT])
    past = sales[sales["time"] < CUT]
    for features in (user_features, item_features):
        with_future = features(sales, CUT, vocabularies)
        pd.testing.assert_frame_equal(with_future, features(past, CUT, vocabularies))
        assert len(with_future)


def test_known_user_and_item_features():
    sales, _ = clean(
        lines(
            {"InvoiceDate": "2011-05-31", "Quantity": 10.0, "UnitPrice": 2.0},
            {"InvoiceDate": "2011-05-22", "InvoiceNo": "1", "StockCode": "10002", "Description": "RED MUG"},
            {"InvoiceDate": "2011-05-22", "InvoiceNo": "2", "CustomerID": 1.0},
            {"InvoiceDate": "2011-06-01", "InvoiceNo": "3", "CustomerID": 2.0},
        )
    )
    vocabularies = Vocabularies(sales[sales["time"] < CUT])
    users = user_features(sales, CUT, vocabularies).set_index("user_id")
    assert users.index.tolist() == [1, 17850]
    assert users["user_index"].tolist() == [1, 2]
    assert users["recency"].tolist() == pytest.approx([math.log(11) / math.log(401), math.log(2) / math.log(401)])
    assert users["tenure"].tolist() == users["recency"][:1].tolist() * 2
    assert users["frequency"][17850] == pytest.approx(math.log(3) / math.log(101))
    items = item_features(sales, CUT, vocabularies).set_index("item_id")
    assert items.index.tolist() == ["10002", "85123A"]
    assert items["popularity_7"].tolist() == pytest.approx([0.0, math.log(2) / math.log(301)])
    assert items["popularity_14"]["85123A"] == pytest.approx(math.log(3) / math.log(301))
    assert items["popularity"]["85123A"] == pytest.approx(math.log(3) / math.log(1001))
    assert items["repeats"].tolist() == [0.0, 0.0]


def test_words_are_hashed_and_zero_where_there_are_none():
    words = item_words(pd.Series(["SET OF 6 RED MUG", "RED RED", "", "MUG"]))
    assert words.shape == (4, 4)
    assert words[0, 2:].tolist() == [0, 0]
    assert words[0, 0] == words[1, 0] > 0
    assert words[1, 1] == 0
    assert words[0, 1] == words[3, 0]
    assert not words[2].any()
    assert words.max() <= WORD_BINS


def test_the_features_fit_their_spec():
    sales = random_sales()
    vocabularies = Vocabularies(sales[sales["time"] < CUT])
    spec = feature_spec(vocabularies)
    tables = {"user": user_features(sales, CUT, vocabularies), "item": item_features(sales, CUT, vocabularies)}
    for name, table in tables.items():
        row_set = spec.row_set(name)
        assert list(table.columns) == [row_set.id_column, *(column.name for column in row_set.columns)]
        for column in row_set.columns:
            values = table[column.name]
            assert values.dtype == column.type, column.name
            if column.size is not None:
                assert values.between(0, column.size - 1).all(), column.name
            else:
                assert values.between(0, 1).all(), column.name
    assert len({value.name for value in spec.model_inputs}) == len(spec.model_inputs)


def moment(sales):
    vocabularies = Vocabularies(sales[sales["time"] < CUT])
    return Moment.of(sales, CUT, user_features(sales, CUT, vocabularies), item_features(sales, CUT, vocabularies))


def test_a_history_counts_orders_before_the_moment():
    sales, _ = clean(
        lines(
            {"InvoiceDate": "2011-05-22", "Quantity": 2.0},
            {"InvoiceDate": "2011-05-22", "Quantity": 3.0},
            {"InvoiceDate": "2011-05-30", "InvoiceNo": "2", "Quantity": 4.0},
            {"InvoiceDate": "2011-06-01", "InvoiceNo": "3"},
            {"InvoiceDate": "2011-05-02", "InvoiceNo": "4", "StockCode": "10002", "CustomerID": 1.0},
        )
    )
    history = History(sales, CUT, pd.Index([1, 17850]), pd.Index(["10002", "85123A"]))
    pairs = history.pairs.set_index(["user", "item"])
    assert pairs.loc[(1, 1)].tolist() == [2, 2, 10, 3, 9]
    assert pairs.columns.tolist() == ["orders", "last", "first", "lines", "quantity"]
    assert history.counts().toarray().tolist() == [[1, 0], [0, 2]]
    assert history.counts(10.0).toarray()[1, 1] == pytest.approx(0.5 + 0.5**0.2)
    assert history.buyers(14).tolist() == [0, 1]


def test_proposals_are_the_best_of_all_and_of_the_new():
    sales = random_sales()
    now = moment(sales)
    asked = np.arange(len(now.users))
    proposed = now.propose(asked, FEW)
    had = now.history.counts().toarray() > 0
    assert np.array_equal(proposed.owned, had[proposed.user, proposed.item])
    place, new = proposed.place(new=False), proposed.place(new=True)
    for user in asked:
        mine = proposed.user == user
        assert len(set(proposed.item[mine])) == mine.sum() <= 2 * FEW.count
        assert place[mine].tolist() == list(range(mine.sum()))
        assert (np.diff(proposed.score[mine]) <= 0).all()
        assert (new[mine] >= 0).sum() >= min(FEW.count, (~had[user]).sum())
    assert all(np.isfinite(values).all() for values in proposed.columns.values())
    never = ~proposed.owned
    assert not any(values[never].any() for name, values in proposed.columns.items() if name.startswith("own_"))


def test_a_pairs_price_is_told_and_never_as_nothing():
    sales, _ = clean(
        lines(
            {"UnitPrice": 2.0},
            {"UnitPrice": 6.0, "StockCode": "10002"},
            {"UnitPrice": 2.0, "CustomerID": 1.0},
        )
    )
    proposed = moment(sales).propose(np.arange(2), FEW)
    share = dict(zip(zip(proposed.user, proposed.item, strict=True), proposed.columns["price_share"], strict=True))
    assert share[0, 1] == pytest.approx(2 / (2 + 2))  # items: 10002, 85123A; users: 1, 17850
    assert share[0, 0] == pytest.approx(6 / (6 + 2))
    assert share[1, 0] == pytest.approx(6 / (6 + 4))


def test_the_order_of_retrieval_is_one_of_the_blends():
    now = moment(random_sales())
    users = np.arange(len(now.users))
    proposed = now.propose(users, FEW)
    chosen = "EASE^R + 1 EASE^R on had at all + 1.6 own orders, half-life 120 days + 0.6 buyers of 7 days"
    ((name, scores),) = blend(now.history, users, {chosen})
    assert name == chosen
    np.testing.assert_allclose(scores[proposed.user, proposed.item], proposed.score, rtol=1e-5, atol=1e-6)


def test_proposals_do_not_change_with_what_comes_after():
    sales = random_sales()
    with_future, without = moment(sales).propose(np.arange(5), FEW), moment(sales[sales["time"] < CUT])
    without = without.propose(np.arange(5), FEW)
    assert np.array_equal(with_future.item, without.item)
    for name, values in with_future.columns.items():
        np.testing.assert_array_equal(values, without.columns[name])


def test_examples_are_proposals_of_those_who_bought():
    sales = random_sales()
    before = sales[sales["time"] < CUT]
    spec = feature_spec(Vocabularies(before))
    rows, labels = examples(spec, before, FEW, MONTHS)
    assert list(rows) == [value.name for value in spec.model_inputs]
    assert {values.shape for values in rows.values()} == {labels.shape}
    assert {values.dtype for values in rows.values()} == {np.dtype(np.float32)}
    assert 0.05 < labels.mean() < 0.9


def test_ease_is_the_ridge_regression_without_the_own_column():
    counts = np.random.default_rng(0).poisson(0.4, (30, 6)).astype(np.float32)
    weights = ease(gram(sparse.csr_array(counts)), 2.0)
    for item in range(6):
        others = [other for other in range(6) if other != item]
        x = counts[:, others].astype(np.float64)
        solved = np.linalg.solve(x.T @ x + 2.0 * np.eye(5), x.T @ counts[:, item])
        np.testing.assert_allclose(weights[others, item], solved, atol=1e-5)
        assert weights[item, item] == 0


def test_item_knn_shrinks_and_keeps_the_nearest():
    counts = sparse.csr_array(np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], np.float32))
    cosines = item_knn(gram(counts), 1.0, 10)
    assert cosines[0, 1] == pytest.approx(2 / (math.sqrt(2 * 3) + 1))
    assert cosines[0, 2] == pytest.approx(1 / (2 + 1))
    assert (np.diag(cosines) == 0).all()
    nearest = item_knn(gram(counts), 1.0, 1)
    assert nearest[:, 0].tolist() == [0, cosines[1, 0], 0]
    assert item_knn(gram(counts), 1.0, 1, itself=True)[:, 0].tolist() == [pytest.approx(2 / (2 + 1)), 0, 0]


def test_metrics_have_known_answers():
    users, items = pd.Index([10, 20, 30]), pd.Index(["a", "b", "c", "d"])
    pairs = pd.DataFrame({"user_id": [10, 10, 20, 99], "item_id": ["a", "d", "unheard", "a"]})
    truth = truth_of(pairs, users, items)
    assert truth.users.tolist() == [0, 1]
    assert truth.totals.tolist() == [2, 1]
    values = list_metrics(np.array([[1, 0], [0, 1]]), truth)
    ideal = 1 + 1 / math.log2(3)
    assert values["recall@50"].tolist() == [1 / 2, 0]
    assert means(values) == {
        "recall@50": pytest.approx((1 / 2 + 0) / 2),
        "ndcg@10": pytest.approx((1 / math.log2(3) / ideal + 0) / 2),
    }
    assert means(list_metrics(np.array([[-1, -1], [0, -1]]), truth))["recall@50"] == 0  # -1 is no item
    earlier = np.array([[True, False, False, False], [False, True, False, False], [False] * 4])
    scores = np.array([[4.0, 3.0, 2.0, 1.0]] * 3)
    both = means(both_ways(lambda of, barred: best(np.where(barred, -np.inf, scores[of]), 3), truth, earlier))
    assert both["recall@50"] == pytest.approx((1 / 2 + 0) / 2)
    assert both["new_recall@50"] == pytest.approx((1 + 0) / 2)


def test_best_breaks_ties_by_column():
    assert best(np.array([[1.0, 3.0, 3.0, 2.0]]), 3).tolist() == [[1, 2, 3]]
