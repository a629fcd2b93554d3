"""Exports answer as the trained model does, and appear whole or not at all."""

import json
import subprocess
import sys

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf

from friesian_fast.errors import FriesianError
from friesian_fast.models.inputs import Categorical
from friesian_fast.models.two_tower import TowerInputs, two_tower
from friesian_fast.models.wide_and_deep import WideAndDeepInputs, wide_and_deep
from friesian_fast.train import export
from friesian_fast.train.forward import predict

INPUTS = WideAndDeepInputs(
    wide=[Categorical("d", 2)],  # names of one letter collide with a converter's own if it is careless
    cross=[Categorical("cross", 30)],
    indicator=[Categorical("a", 5)],
    embedding=[Categorical("user", 400)],
    continuous=["length", "age"],
)
ROWS = 2000


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    drawn = {f.name: rng.integers(0, f.size, ROWS, dtype=np.int32) for f in INPUTS.categorical}
    return drawn | {name: rng.random(ROWS, dtype=np.float32) for name in INPUTS.continuous}


@pytest.fixture(scope="module")
def model():
    built = wide_and_deep(INPUTS, hidden_units=[16, 8])
    rng = np.random.default_rng(1)
    built.set_weights([np.abs(rng.standard_normal(w.shape)) * 0.3 for w in built.get_weights()])
    return built


@pytest.mark.parametrize("large", [100, 10**9], ids=["tables set afterwards", "tables converted"])
def test_onnx_scores_are_keras_scores(model, rows, tmp_path, monkeypatch, large):
    monkeypatch.setattr(export, "LARGE_WEIGHT", large)
    error = export.export_onnx(model, tmp_path / "ranker.onnx", rows)
    assert error < 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "ranker.onnx")
    (scores,) = session.run(["score"], {name: rows[name] for name in INPUTS.names})
    np.testing.assert_allclose(scores, predict(model, rows), atol=1e-5)
    assert np.ptp(scores) > 0.1


def test_onnx_inputs_are_the_models_by_name_type_and_order(model, rows, tmp_path):
    export.export_onnx(model, tmp_path / "ranker.onnx", rows)
    session = onnxruntime.InferenceSession(tmp_path / "ranker.onnx")
    found = [(value.name, value.type, value.shape) for value in session.get_inputs()]
    integers = [(field.name, "tensor(int32)", ["N"]) for field in INPUTS.categorical]
    assert found == integers + [(name, "tensor(float)", ["N"]) for name in INPUTS.continuous]
    (output,) = session.get_outputs()
    assert (output.name, output.type, output.shape) == ("score", "tensor(float)", ["N"])
    onnx.checker.check_model(tmp_path / "ranker.onnx")


def test_a_tower_exports_its_vectors(tmp_path):
    user = TowerInputs(embedding=[Categorical("user", 50)], continuous=["ratio"])
    tower = two_tower(user, TowerInputs(embedding=[Categorical("item", 5)]), hidden_units=[8], dim=4).user
    rows = {"user": np.arange(50, dtype=np.int32), "ratio": np.linspace(0, 1, 50, dtype=np.float32)}
    assert export.export_onnx(tower, tmp_path / "user.onnx", rows, output="prediction") < 1e-5
    (value,) = onnxruntime.InferenceSession(tmp_path / "user.onnx").get_outputs()
    assert (value.name, value.shape) == ("prediction", ["N", 4])


def test_a_model_that_answers_differently_is_not_written(model, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "MAX_ONNX_ERROR", -1.0)
    with pytest.raises(FriesianError, match="differ from Keras' by"):
        export.export_onnx(model, tmp_path / "ranker.onnx", rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_keras_file_loads_without_this_package(model, rows, tmp_path):
    export.save_keras(model, tmp_path / "ranker.keras")
    loaded = keras.models.load_model(tmp_path / "ranker.keras")
    np.testing.assert_array_equal(predict(loaded, rows), predict(model, rows))
    code = "import sys, keras; keras.models.load_model(sys.argv[1]); sys.exit('friesian_fast' in sys.modules)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "ranker.keras")], check=True, timeout=120)


def test_the_saved_model_serves_by_name(model, rows, tmp_path):
    export.save_serving(model, tmp_path / "saved_model")
    serve = tf.saved_model.load(tmp_path / "saved_model").signatures["serving_default"]
    (scores,) = serve(**{name: tf.constant(rows[name]) for name in INPUTS.names}).values()
    np.testing.assert_allclose(scores.numpy(), predict(model, rows), atol=1e-6)
    export.save_serving(model, tmp_path / "saved_model")
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model"]


def test_versions_are_plain_json():
    assert set(json.loads(json.dumps(export.framework_versions()))) == {"keras", "tensorflow"}
