"""The training loop learns, repeats itself by its seed, and refuses what cannot be learned."""

import numpy as np
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.models.inputs import Categorical
from friesian_fast.models.wide_and_deep import WideAndDeepInputs, wide_and_deep
from friesian_fast.train import adam
from friesian_fast.train.loop import fit, predict

INPUTS = WideAndDeepInputs(
    wide=[Categorical("left", 2), Categorical("right", 2)],
    indicator=[Categorical("type", 4), Categorical("media", 4)],
    embedding=[Categorical("user", 50)],
    continuous=["length"],
)
SETTINGS = {"epochs": 2, "batch_size": 300, "learning_rate": 1e-2, "log": lambda line: None}


def rows(count, seed=0):
    rng = np.random.default_rng(seed)
    drawn = {f.name: rng.integers(0, f.size, count, dtype=np.int32) for f in INPUTS.categorical}
    columns = drawn | {"length": rng.random(count, dtype=np.float32)}
    # A parity: no single input says anything.
    return columns, ((columns["type"] + columns["media"]) % 2).astype(np.float32)


def small_model(seed=0):
    return wide_and_deep(INPUTS, hidden_units=[32], seed=seed)


def test_learns_a_cross_that_no_single_input_shows():
    lines = []
    history = fit(small_model(), *rows(4000), validation=rows(1000, 1), **SETTINGS | {"epochs": 5, "log": lines.append})
    assert history.last["val_auc"] > 0.95
    assert history.last["loss"] < history.epochs[0]["loss"]
    assert len(lines) == len(history.epochs) == 5
    assert lines[0].startswith("Epoch 1/5 - ")
    assert list(history.last)[:6] == ["loss", "binary_accuracy", "binary_crossentropy", "auc", "precision", "recall"]
    assert list(history.last)[6:] == [f"val_{name}" for name in list(history.last)[:6]]


def test_the_seed_repeats_the_weights(monkeypatch):
    monkeypatch.setattr(adam, "DENSE_ROWS", 10)
    trained = []
    for seed in (3, 3, 4):
        model = small_model(seed=7)
        fit(model, *rows(1000), **SETTINGS, seed=seed)
        trained.append(predict(model, rows(200, 2)[0]))
    np.testing.assert_array_equal(trained[0], trained[1])
    assert (trained[0] != trained[2]).any()


def test_the_order_of_the_columns_does_not_matter():
    columns, labels = rows(1000)
    scores = []
    for given in (columns, dict(reversed(columns.items())) | {"unused": np.zeros(3)}):
        model = small_model()
        fit(model, given, labels, **SETTINGS)
        scores.append(predict(model, columns))
    np.testing.assert_array_equal(scores[0], scores[1])


def test_a_row_more_than_a_batch_makes_two_even_ones():
    columns, labels = rows(301)
    history = fit(small_model(), columns, labels, **SETTINGS | {"epochs": 1})
    assert np.isfinite(history.last["loss"])


def test_prediction_does_not_depend_on_the_batch():
    model, (columns, _) = small_model(), rows(100)
    np.testing.assert_allclose(predict(model, columns, batch_size=7), predict(model, columns), atol=1e-6)


def test_stops_when_the_validation_no_longer_improves():
    lines = []
    columns, _ = rows(600)
    labels = np.random.default_rng(0).integers(0, 2, 600).astype(np.float32)
    settings = SETTINGS | {"epochs": 40, "early_stopping": 2, "log": lines.append}
    history = fit(small_model(), columns, labels, validation=(rows(300, 1)[0], labels[:300]), **settings)
    values = [epoch["val_auc"] for epoch in history.epochs]
    assert len(values) < 40
    assert np.argmax(values) == len(values) - 3
    assert lines[-1] == "Stopped early: val_auc has not improved for 2 epochs"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "must be at least 1"),
        ({"batch_size": 0}, "must be at least 1"),
        ({"learning_rate": 0.0}, "learning rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning rate must be above 0"),
        ({"early_stopping": 2}, "needs validation data"),
    ],
)
def test_settings_that_cannot_work_are_named(changes, message):
    with pytest.raises(InvalidInputError, match=message):
        fit(small_model(), *rows(100), **SETTINGS | changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda columns, labels: (columns, np.ones_like(labels)), "training data: all 100 labels are 1"),
        (lambda columns, labels: ({}, labels), "training data: the model's input 'left' has no column"),
        (lambda columns, labels: (columns, labels[1:]), "column 'left' has 100 rows, the labels 99"),
        (lambda columns, labels: ({n: c[:0] for n, c in columns.items()}, labels[:0]), "there are no rows"),
    ],
)
def test_data_that_cannot_be_learned_is_named(change, message):
    with pytest.raises(InvalidInputError, match=message):
        fit(small_model(), *change(*rows(100)), **SETTINGS)


def test_a_number_that_is_none_stops_the_run():
    columns, labels = rows(100)
    columns["length"][5] = np.nan
    with pytest.raises(InvalidInputError, match="training data: column 'length' holds nan in row 5"):
        fit(small_model(), columns, labels, **SETTINGS)
