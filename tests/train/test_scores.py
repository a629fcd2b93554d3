"""Metrics from counts are those of the rows, and those of several workers add up."""

import numpy as np
import pytest
from sklearn import metrics as sk
from tests.reference import binary_metrics as reference

from friesian_fast.errors import InvalidInputError
from friesian_fast.evaluate.pointwise import auc
from friesian_fast.train.checkpoint import read_state, write_state
from friesian_fast.train.comm import Comm
from friesian_fast.train.scores import NAMES, BinaryScores, require_known, to_logits


def rows(count=5000):
    rng = np.random.default_rng(1)
    labels = (rng.random(count) < 0.2).astype(np.float32)
    return labels, (rng.normal(size=count) + labels - 1).astype(np.float32)


def test_metrics_are_scikit_learns():
    labels, logits = rows()
    scores = BinaryScores()
    for part in np.array_split(np.arange(len(labels)), 7):
        scores.add(labels[part], logits[part])
    found = scores.merged(Comm()).metrics(NAMES)
    chance = 1 / (1 + np.exp(-logits.astype(np.float64)))
    predicted = logits > 0
    assert found["auc"] == pytest.approx(auc(labels, logits), abs=1e-6)
    assert found["binary_accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted))
    assert found["binary_crossentropy"] == pytest.approx(sk.log_loss(labels, chance))
    assert found["precision"] == pytest.approx(sk.precision_score(labels, predicted))
    assert found["recall"] == pytest.approx(sk.recall_score(labels, predicted))


def test_all_metrics_of_four_rows():
    labels, logits = np.array([1.0, 1, 0, 0]), np.array([2.0, -1, 1, -3], dtype=np.float32)
    scores = BinaryScores()
    scores.add(labels, logits)
    found = scores.metrics(NAMES)
    assert found["binary_crossentropy"] == pytest.approx(reference.cross_entropy(labels, logits))
    assert (found["binary_accuracy"], found["precision"], found["recall"], found["auc"]) == (0.5, 0.5, 0.5, 0.75)


def test_huge_logits_do_not_overflow_and_no_predicted_positive_has_precision_zero():
    scores = BinaryScores()
    scores.add(np.array([1.0, 0]), np.array([-1e4, 1e4], dtype=np.float32))
    assert scores.metrics(["binary_crossentropy"])["binary_crossentropy"] == pytest.approx(1e4)
    scores = BinaryScores()
    scores.add(np.array([1.0, 0]), np.array([-1.0, -2]))
    assert scores.metrics(["precision"]) == {"precision": 0.0}


def test_known_answers_with_ties_and_signs():
    scores = BinaryScores()
    scores.add(np.array([0, 1, 1, 0]), np.array([-1.0, -1.0, 3.0, -2.0]))
    assert scores.classes == (2, 2)
    assert scores.metrics(["auc"]) == {"auc": 3.5 / 4}
    again = BinaryScores.of(scores.state())
    assert again.metrics(NAMES) == scores.metrics(NAMES)
    assert sum(array.nbytes for array in scores.state()) < 200  # of 24 MB of bins three are filled


def test_no_counts_are_kept_and_read_again(tmp_path):
    state = dict(enumerate(BinaryScores().state()))
    write_state(tmp_path / "kept", {str(number): value for number, value in state.items()}, {})
    kept, _ = read_state(tmp_path / "kept")
    assert BinaryScores.of([kept[str(number)] for number in state]).classes == (0, 0)


@pytest.mark.parametrize(("centre", "spread"), [(2.7, 0.01), (-4.5, 0.1), (0, 30), (0, 1e-3), (60, 10)])
def test_the_auc_is_exact_to_five_digits_wherever_the_logits_lie(centre, spread):
    rng = np.random.default_rng(2)
    labels = (rng.random(20_000) < 0.3).astype(np.float32)
    logits = (centre + spread * (rng.normal(size=20_000) + labels)).astype(np.float32)
    scores = BinaryScores()
    scores.add(labels, logits)
    assert scores.metrics(["auc"])["auc"] == pytest.approx(auc(labels, logits), abs=1e-5)


def test_one_class_has_no_auc_and_an_unknown_metric_is_named():
    scores = BinaryScores()
    scores.add(np.array([1.0]), np.array([0.3]))
    assert np.isnan(scores.metrics(["auc"])["auc"])
    with pytest.raises(InvalidInputError, match="no metric 'ndcg'; use auc, binary_accuracy"):
        require_known(["auc", "ndcg"])


def test_logits_of_probabilities():
    np.testing.assert_allclose(to_logits(np.array([0.5, 0.25])), [0, np.log(1 / 3)])
    assert np.isfinite(to_logits(np.array([0.0, 1.0], np.float32))).all()
