"""Catalogue measures, intervals, splits and slices."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import evaluate as reference

from friesian_fast.errors import InvalidInputError
from friesian_fast.evaluate import (
    auc,
    average_popularity,
    bootstrap_auc,
    bootstrap_auc_difference,
    bootstrap_mean,
    coverage,
    diversity,
    exposure,
    gini,
    history_slices,
    novelty,
    temporal_split,
)

LISTS = np.array([[0, 2, 3], [2, -1, -1], [-1, -1, -1]])


def test_known_catalogue_measures():
    popularity = np.array([3, 0, 1, 0])
    assert exposure(LISTS, items=4).tolist() == [1, 0, 2, 1]
    assert coverage(LISTS, items=4) == 0.75
    assert coverage(LISTS, items=8) == 0.375
    assert novelty(LISTS, popularity)[:2].tolist() == pytest.approx([(1 + 2 + 3) / 3, 2.0])
    assert average_popularity(LISTS, popularity)[:2].tolist() == pytest.approx([4 / 3, 1.0])
    assert np.isnan(novelty(LISTS, popularity)[2])
    assert np.isnan(average_popularity(LISTS, popularity)[2])


def test_known_diversity():
    vectors = np.array([[1.0, 0], [9, 9], [0, 2], [-3, 0]])
    values = diversity(LISTS, vectors)
    assert values[0] == pytest.approx((1 + 2 + 1) / 3)
    assert np.isnan(values[1:]).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=2, max_size=8), st.integers(2, 8))
def test_diversity_is_the_mean_over_pairs(rows, size):
    vectors = np.array(rows, float)
    ranked = np.random.default_rng(size).permutation(len(rows))[:size]
    assert diversity(ranked[None], vectors)[0] == pytest.approx(reference.diversity(ranked, vectors))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=12).filter(any))
def test_gini_is_half_the_relative_mean_difference(counts):
    assert gini(np.array(counts)) == pytest.approx(reference.gini(counts), abs=1e-12)


def test_gini_of_known_counts():
    assert gini(np.array([5, 5, 5])) == pytest.approx(0)
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)
    with pytest.raises(InvalidInputError, match="not all 0"):
        gini(np.zeros(3))
    with pytest.raises(InvalidInputError, match="not negative"):
        gini(np.array([-1, 2]))


def test_an_item_outside_the_catalogue_is_an_error():
    with pytest.raises(InvalidInputError, match="item 3 is in a list, but the catalogue has 3 items"):
        coverage(LISTS, items=3)
    with pytest.raises(InvalidInputError, match="twice"):
        novelty(np.array([[1, 1]]), np.ones(3))


def test_bootstrap_covers_the_mean_as_the_normal_interval_does():
    values = np.random.default_rng(0).normal(3, 2, 400)
    with_nan = np.append(values, np.nan)
    interval = bootstrap_mean(with_nan, samples=4000, seed=1)
    error = 1.96 * values.std() / math.sqrt(len(values))
    assert interval.value == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - error, abs=0.02)
    assert interval.high == pytest.approx(values.mean() + error, abs=0.02)
    assert interval == bootstrap_mean(with_nan, samples=4000, seed=1)
    assert interval != bootstrap_mean(with_nan, samples=4000, seed=2)
    wider = bootstrap_mean(with_nan, samples=4000, seed=1, confidence=0.99)
    assert wider.low < interval.low < interval.high < wider.high


def test_bootstrap_of_one_user_and_of_weights():
    one = bootstrap_mean(np.array([0.5]), samples=10)
    assert (one.value, one.low, one.high) == (0.5, 0.5, 0.5)
    weighted = bootstrap_mean(np.array([1.0, 0.0, np.nan]), np.array([3.0, 1.0, 9.0]), samples=50)
    assert weighted.value == 0.75
    assert (weighted.low, weighted.high) == (0, 1)


def test_two_aucs_are_compared_on_the_same_draws():
    rng = np.random.default_rng(3)
    users = np.repeat(np.arange(40), 10)
    labels = (rng.random(400) < 0.3).astype(float)
    ease = np.repeat(rng.normal(0, 2, 40), 10)  # a user that is easy for one is easy for the other
    scores = labels * ease + rng.normal(0, 0.5, 400)
    others = scores + rng.normal(0, 0.05, 400)
    difference = bootstrap_auc_difference(labels, scores, others, users, samples=50)
    alone = [bootstrap_auc(labels, of, users, samples=50) for of in (scores, others)]
    assert difference.value == pytest.approx(alone[0].value - alone[1].value)
    assert difference.low <= difference.value <= difference.high
    assert difference.high - difference.low < 0.3 * (alone[0].high - alone[0].low)
    none = bootstrap_auc_difference(labels, scores, scores, users, samples=5)
    assert (none.low, none.value, none.high) == (0, 0, 0)


def test_bootstrap_auc_draws_whole_users():
    rng = np.random.default_rng(3)
    users, labels = rng.integers(0, 6, 60), rng.integers(0, 2, 60)
    scores = (rng.integers(0, 5, 60) + labels).astype(float)
    interval = bootstrap_auc(labels, scores, users, samples=30, seed=5)
    again = np.random.default_rng(5)
    drawn = [reference.auc_of_drawn_users(labels, scores, users, again.integers(6, size=6)) for _ in range(30)]
    assert interval.value == auc(labels, scores)
    assert [interval.low, interval.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"samples": 0}, "samples is 0"), ({"confidence": 1.0}, "confidence is 1.0"), ({}, "no user has a value")],
)
def test_bootstrap_refuses(options, message):
    values = np.array([1.0, 2.0]) if options else np.array([np.nan])
    with pytest.raises(InvalidInputError, match=message):
        bootstrap_mean(values, **options)


def test_temporal_split_by_date():
    times = np.array(["2011-09-30", "2011-10-01", "2011-10-31T23:59", "2011-11-01"], "datetime64[s]")
    parts = temporal_split(times, test_from="2011-11-01", validation_from="2011-10-01")
    assert parts.train.tolist() == [True, False, False, False]
    assert parts.validation.tolist() == [False, True, True, False]
    assert parts.test.tolist() == [False, False, False, True]
    both = temporal_split(np.array([3, 1, 2]), test_from=3)
    assert both.train.tolist() == [False, True, True]
    assert not both.validation.any()


@pytest.mark.parametrize(
    ("times", "at", "message"),
    [
        ([1.0, math.nan], (2, None), "a time is missing"),
        ([1.0, 2.0], (3, None), "no row falls into the test part"),
        ([1.0, 2.0], (1, None), "no row falls into the train part"),
        ([1.0, 4.0], (3, 2), "no row falls into the validation part"),
        ([1.0, 4.0], (2, 3), "swap them"),
        ([], (2, None), "no rows to split"),
    ],
)
def test_splits_that_cannot_be(times, at, message):
    with pytest.raises(InvalidInputError, match=message):
        temporal_split(np.array(times, float), test_from=at[0], validation_from=at[1])


def test_slices_by_history_part_all():
    counts = np.array([0, 1, 4, 5, 19, 20, 500])
    slices = history_slices(counts)
    assert list(slices) == ["0", "1-4", "5-19", "20+"]
    assert np.stack(list(slices.values())).sum(axis=0).tolist() == [1] * 7
    assert slices["1-4"].tolist() == [False, True, True, False, False, False, False]
    assert list(history_slices(counts, edges=[1, 2])) == ["0", "1", "2+"]
    with pytest.raises(InvalidInputError, match="ascend"):
        history_slices(counts, edges=[5, 5])
