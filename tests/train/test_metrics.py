"""Metrics of a whole epoch, against their definitions."""

import numpy as np
import pytest
from tests.reference import binary_metrics as reference

from friesian_fast.errors import InvalidInputError
from friesian_fast.train.metrics import binary_metrics


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
        binary_metrics(np.full(5, float(value)), np.arange(5.0))
