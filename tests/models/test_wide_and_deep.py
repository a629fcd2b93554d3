"""The model computes what Wide & Deep is defined to compute."""

import keras
import numpy as np
import pyarrow as pa
import pytest
from tests.reference import wide_and_deep as reference

from friesian_fast.errors import InvalidInputError
from friesian_fast.models.inputs import Categorical
from friesian_fast.models.wide_and_deep import WideAndDeepInputs, wide_and_deep
from friesian_fast.train import Estimator, adam
from friesian_fast.train.forward import predict

INPUTS = WideAndDeepInputs(
    wide=[Categorical("verified", 2)],
    cross=[Categorical("media_language", 30)],
    indicator=[Categorical("media", 5), Categorical("type", 3)],
    embedding=[Categorical("user", 40)],
    continuous=["length"],
)


def rows(count=12):
    rng = np.random.default_rng(5)
    drawn = {f.name: rng.integers(0, f.size, count, dtype=np.int32) for f in INPUTS.categorical}
    return drawn | {"length": rng.random(count, dtype=np.float32)}


@pytest.fixture(scope="module")
def model():
    built = wide_and_deep(INPUTS, hidden_units=[6, 4])
    rng = np.random.default_rng(6)
    # Fresh batch normalisation and wide weights would hide mistakes behind zeros and ones.
    built.set_weights([rng.uniform(0.1, 1, w.shape) * rng.choice([-1, 1]) for w in built.get_weights()])
    for layer in built.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(np.abs(layer.moving_variance.numpy()))
    return built


def test_scores_are_the_references(model):
    columns = rows()
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    expected = [reference.score(weights, INPUTS, {k: v[i] for k, v in columns.items()}) for i in range(12)]
    scores = predict(model, columns)
    assert scores.dtype == np.float32
    assert scores.shape == (12,)
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_inputs_are_fed_by_name_in_any_order(model):
    columns = rows()
    backwards = dict(reversed(columns.items()))
    np.testing.assert_array_equal(predict(model, columns), predict(model, backwards | {"unused": np.zeros(12)}))
    assert list(model.input) == INPUTS.names


def test_the_seed_decides_the_first_weights():
    first, again, other = (wide_and_deep(INPUTS, hidden_units=[4], seed=seed) for seed in (1, 1, 2))
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(first.get_weights(), other.get_weights(), strict=True))


def test_each_part_may_be_absent():
    deep_only = WideAndDeepInputs(continuous=["length"])
    assert predict(wide_and_deep(deep_only, hidden_units=[4]), rows()).shape == (12,)


def test_a_name_in_two_parts_is_an_error():
    twice = WideAndDeepInputs(wide=[Categorical("media", 2)], indicator=[Categorical("media", 2)])
    with pytest.raises(InvalidInputError, match="two inputs named 'media'"):
        wide_and_deep(twice)


def parity(count, seed=0):
    """No single input says anything of the label."""
    rng = np.random.default_rng(seed)
    drawn = {f.name: rng.integers(0, f.size, count, dtype=np.int32) for f in INPUTS.categorical}
    label = ((drawn["media"] + drawn["type"]) % 2).astype(np.float32)
    return pa.table({**drawn, "length": rng.random(count, dtype=np.float32), "label": label})


def trained(seed, **settings):
    model = wide_and_deep(INPUTS, hidden_units=[32], seed=7)
    model.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy")
    estimator = Estimator.from_keras(model, metrics=["auc"], seed=seed)
    return model, estimator.fit(parity(4000), 3, 300, label_cols="label", verbose=False, **settings)


def test_learns_a_cross_that_no_single_input_shows():
    _, history = trained(0, validation_data=parity(1000, seed=1))
    assert history[-1]["val_auc"] > 0.95


def test_the_seed_repeats_the_weights(monkeypatch):
    """Also those of tables that are updated lazily."""
    monkeypatch.setattr(adam, "DENSE_ROWS", 10)
    first, again, other = (predict(trained(seed)[0], rows(200)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
