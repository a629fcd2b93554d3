"""Features see only the past, examples are what they claim, metrics have known answers."""

import math

import numpy as np
import pandas as pd
import pytest
from tests.usecases.online_retail import lines

from friesian_fast.usecases.online_retail.data import clean
from friesian_fast.usecases.online_retail.evaluate import best, both_ways, list_metrics, pair_matrix, truth_of
from friesian_fast.usecases.online_retail.examples import NEGATIVES, examples, purchases
from friesian_fast.usecases.online_retail.features import (
    WORD_BINS,
    Vocabularies,
    feature_spec,
    item_features,
    item_words,
    user_features,
)

CUT = pd.Timestamp("2011-06-01")


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
    assert users["recency_bin"].tolist() == [1, 0]
    assert users["frequency_bin"].tolist() == [0, 1]
    assert users["frequency"][17850] == pytest.approx(math.log(3) / math.log(101))
    items = item_features(sales, CUT, vocabularies).set_index("item_id")
    assert items.index.tolist() == ["10002", "85123A"]
    assert items["popularity_bin"].tolist() == [1, 2]
    assert items["popularity"]["85123A"] == pytest.approx(math.log(3) / math.log(1001))
    assert items["recency_bin"].tolist() == [3, 1]


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


def test_examples_are_purchases_and_things_not_bought():
    sales = random_sales()
    vocabularies = Vocabularies(sales[sales["time"] < CUT])
    users, items = user_features(sales, CUT, vocabularies), item_features(sales, CUT, vocabularies)
    end = sales["time"].max()
    made = examples(sales, users, items, CUT, end, seed=3)
    bought = set(purchases(sales, users, items, CUT, end).itertuples(index=False, name=None))
    positives = made[made["label"] == 1][["user_id", "item_id"]]
    negatives = made[made["label"] == 0][["user_id", "item_id"]]
    assert set(positives.itertuples(index=False, name=None)) == bought
    assert len(positives) == len(bought)
    assert not bought & set(negatives.itertuples(index=False, name=None))
    assert len(negatives) == pytest.approx(NEGATIVES * len(bought), rel=0.01)
    pd.testing.assert_frame_equal(made, examples(sales, users, items, CUT, end, seed=3))
    assert not made.equals(examples(sales, users, items, CUT, end, seed=4))


def test_metrics_have_known_answers():
    users, items = pd.Index([10, 20, 30]), pd.Index(["a", "b", "c", "d"])
    pairs = pd.DataFrame({"user_id": [10, 10, 20, 99], "item_id": ["a", "d", "unheard", "a"]})
    truth = truth_of(pairs, users, items)
    assert truth.users.tolist() == [0, 1]
    assert truth.totals.tolist() == [2, 1]
    metrics = list_metrics(np.array([[1, 0], [0, 1]]), truth)
    ideal = 1 + 1 / math.log2(3)
    assert metrics == {
        "recall@50": pytest.approx((1 / 2 + 0) / 2),
        "ndcg@10": pytest.approx((1 / math.log2(3) / ideal + 0) / 2),
    }
    earlier = pair_matrix(pd.DataFrame({"user_id": [10, 20], "item_id": ["a", "b"]}), users, items) > 0
    scores = np.array([[4.0, 3.0, 2.0, 1.0]] * 3)
    both = both_ways(lambda of, barred: best(np.where(barred, -np.inf, scores[of]), 3), truth, earlier)
    assert both["recall@50"] == pytest.approx((1 / 2 + 0) / 2)
    assert both["new_recall@50"] == pytest.approx((1 + 0) / 2)


def test_best_breaks_ties_by_column():
    assert best(np.array([[1.0, 3.0, 3.0, 2.0]]), 3).tolist() == [[1, 2, 3]]
