"""Metrics of a whole epoch, against their definitions."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tests.reference import binary_metrics as reference

from friesian_fast.errors import InvalidInputError
from friesian_fast.train.metrics import auc, binary_metrics


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


def test_all_metrics_of_four_rows():
    labels, logits = np.array([1.0, 1, 0, 0]), np.array([2.0, -1, 1, -3], dtype=np.float32)
    metrics = binary_metrics(labels, logits)
    assert list(metrics) == ["loss", "binary_accuracy", "binary_crossentropy", "auc", "precision", "recall"]
    assert metrics["loss"] == metrics["binary_crossentropy"] == pytest.approx(reference.cross_entropy(labels, logits))
    assert (metrics["binary_accuracy"], metrics["precision"], metrics["recall"]) == (0.5, 0.5, 0.5)
    assert metrics["auc"] == 0.75


def test_huge_logits_do_not_overflow():
    metrics = binary_metrics(np.array([1.0, 0]), np.array([-1e4, 1e4], dtype=np.float32))
    assert metrics["loss"] == pytest.approx(1e4)


def test_no_predicted_positive_has_precision_zero():
    assert binary_metrics(np.array([1.0, 0]), np.array([-1.0, -2]))["precision"] == 0.0


@pytest.mark.parametrize("value", [0, 1])
def test_one_class_is_an_error_that_says_which(value):
    with pytest.raises(InvalidInputError, match=f"all 5 labels are {value}"):
        auc(np.full(5, float(value)), np.arange(5.0))


def test_a_label_between_the_classes_is_an_error():
    with pytest.raises(InvalidInputError, match="neither 0 nor 1"):
        auc(np.array([0, 1, 0.5]), np.arange(3.0))
