"""Single predictions: known answers, definitions, scikit-learn, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss, roc_auc_score
from tests.reference import binary_metrics as reference

from friesian_fast.errors import InvalidInputError
from friesian_fast.evaluate import auc, calibration, gauc, logloss


def test_auc_of_known_orders():
    labels = np.array([0.0, 0, 1, 1])
    assert auc(labels, np.array([1.0, 2, 3, 4])) == 1.0
    assert auc(labels, np.array([4.0, 3, 2, 1])) == 0.0
    assert auc(labels, np.zeros(4)) == 0.5
    assert auc(labels, np.array([1.0, 3, 3, 4])) == 0.875


@pytest.mark.parametrize("levels", [2, 7, 10_000])
def test_auc_with_ties_is_the_share_of_won_pairs(levels):
    rng = np.random.default_rng(levels)
    labels, scores = rng.integers(0, 2, 300).astype(float), rng.integers(0, levels, 300).astype(float)
    assert auc(labels, scores) == pytest.approx(reference.auc(labels, scores), abs=1e-12)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_gauc_of_three_users():
    labels = np.array([1, 0, 0, 1, 0, 1, 1])
    scores = np.array([2.0, 1, 3, 5, 5, 0, 9])
    users = np.array(["a", "a", "a", "b", "b", "c", "c"])
    groups = gauc(labels, scores, users)
    assert groups.groups.tolist() == ["a", "b"]
    assert groups.auc.tolist() == [0.5, 0.5]
    assert groups.rows.tolist() == [3, 2]
    assert groups.mean == 0.5


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.booleans()), min_size=2, max_size=40))
def test_gauc_is_the_weighted_mean_of_the_users_auc(rows):
    users, scores, labels = (np.array(column) for column in zip(*rows, strict=True))
    labels, scores = labels.astype(float), scores.astype(float)
    expected = {
        user: (reference.auc(labels[users == user], scores[users == user]), (users == user).sum())
        for user in np.unique(users)
        if len(set(labels[users == user])) == 2
    }
    if not expected:
        with pytest.raises(InvalidInputError):
            gauc(labels, scores, users)
        return
    groups = gauc(labels, scores, users)
    assert groups.groups.tolist() == list(expected)
    assert groups.auc.tolist() == pytest.approx([value for value, _ in expected.values()])
    weighted = sum(value * n for value, n in expected.values()) / sum(n for _, n in expected.values())
    assert groups.mean == pytest.approx(weighted)


def test_logloss_is_scikit_learns():
    assert logloss(np.array([1, 0]), np.array([0.5, 0.75])) == pytest.approx((math.log(2) + math.log(4)) / 2)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 500)
    for dtype in (np.float64, np.float32):
        probabilities = rng.random(500).astype(dtype)
        probabilities[:4] = [0, 1, 0, 1]
        assert logloss(labels, probabilities) == pytest.approx(log_loss(labels, probabilities), rel=1e-5)


def test_calibration_of_known_bins():
    table = calibration(np.array([0, 1, 1, 1]), np.array([0.1, 0.25, 0.75, 1.0]), bins=4)
    assert table.edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert table.counts.tolist() == [2, 0, 1, 1]
    assert table.predicted[[0, 2, 3]].tolist() == pytest.approx([0.175, 0.75, 1.0])
    assert table.observed[[0, 2, 3]].tolist() == [0.5, 1, 1]
    assert np.isnan(table.predicted[1])
    assert np.isnan(table.observed[1])
    assert table.ece == pytest.approx((2 * 0.325 + 0.25 + 0) / 4)


def test_calibration_is_scikit_learns():
    rng = np.random.default_rng(1)
    probabilities = rng.random(2000) ** 3
    labels = (rng.random(2000) < probabilities**0.8).astype(int)
    table = calibration(labels, probabilities, bins=15)
    observed, predicted = calibration_curve(labels, probabilities, n_bins=15)
    assert table.observed == pytest.approx(observed)
    assert table.predicted == pytest.approx(predicted)


@pytest.mark.parametrize("metric", [auc, logloss, calibration])
def test_labels_must_be_of_two_classes(metric):
    with pytest.raises(InvalidInputError, match="all 3 labels are 1"):
        metric(np.ones(3), np.full(3, 0.5))
    with pytest.raises(InvalidInputError, match="all 0 labels are 0"):
        metric(np.ones(0), np.ones(0))
    with pytest.raises(InvalidInputError, match="neither 0 nor 1"):
        metric(np.array([0, 1, 0.5]), np.full(3, 0.5))


@pytest.mark.parametrize("metric", [auc, logloss, calibration])
def test_scores_must_fit_the_labels(metric):
    with pytest.raises(InvalidInputError, match="one score per label"):
        metric(np.array([0, 1]), np.full(3, 0.5))
    with pytest.raises(InvalidInputError, match="row 1 is NaN"):
        metric(np.array([0, 1]), np.array([0.5, math.nan]))


@pytest.mark.parametrize("metric", [logloss, calibration])
@pytest.mark.parametrize("value", [-0.01, 1.5])
def test_a_logit_is_no_probability(metric, value):
    with pytest.raises(InvalidInputError, match=f"{value} in row 1 is not a probability"):
        metric(np.array([0, 1]), np.array([0.5, value]))


def test_bins_are_at_least_one():
    with pytest.raises(InvalidInputError, match="bins is 0"):
        calibration(np.array([0, 1]), np.array([0.5, 0.5]), bins=0)


def test_no_group_of_two_classes_is_an_error():
    with pytest.raises(InvalidInputError, match="no group holds both classes"):
        gauc(np.array([0, 1]), np.array([0.5, 0.5]), np.array([0, 1]))
