"""What was trained, written for others to read: Keras file, SavedModel, ONNX; each whole or not at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from friesian_fast.errors import FriesianError
from friesian_fast.train.files import replacing
from friesian_fast.train.forward import predict
from friesian_fast.train.simplify import simplify

MAX_ONNX_ERROR = 1e-4
ONNX_OPSET = 17
LARGE_WEIGHT = 1_000_000  # elements


def save_keras(model: keras.Model, path: str | Path) -> None:
    """Write a ``.keras`` file."""
    with replacing(path) as partial:
        model.save(partial)


def save_serving(model: keras.Model, path: str | Path) -> None:
    """Write a TensorFlow SavedModel directory; its signature `serving_default` takes the inputs by name."""
    with replacing(path) as partial:
        model.export(str(partial), format="tf_saved_model", verbose=False)


def export_onnx(
    model: keras.Model, path: str | Path, rows: Mapping[str, NDArray[Any]], *, output: str = "score"
) -> float:
    """Write a model as ONNX and measure how far its answers are from Keras'.

    The ONNX inputs have the names, types and order of the model's and shape (N,); the output is float32 and has the
    model's shape: (N,) for a ranker, (N, dim) for a tower.

    Parameters
    ----------
    model : keras.Model
        Takes a dict of columns of shape (n,).
    path : str or Path
    rows : mapping of str to ndarray, shape (n,)
        Real rows to compare on.
    output : str, default "score"
        Name of the output.

    Returns
    -------
    float
        The largest absolute difference of two numbers.

    Raises
    ------
    FriesianError
        If it is above 1e-4; then nothing is written.
    """
    import onnx

    inputs = {name: rows[name] for name in model.input}
    with replacing(path) as partial:
        proto = _to_onnx(model, output)
        simplify(proto)
        onnx.save(proto, partial)
        error = float(np.abs(_onnx_answers(partial, inputs) - predict(model, inputs)).max())
        if not error <= MAX_ONNX_ERROR:
            raise FriesianError(f"the ONNX answers differ from Keras' by {error:.2g}; the model cannot be exported")
    return error


def _to_onnx(model: keras.Model, output: str) -> Any:
    """Convert with the large weights as inputs and make them constants afterwards.

    As constants they would run through every pass of the converter: 22 s instead of 2 for the walkthrough's tables.
    """
    import onnx
    import tf2onnx

    trainable = list(model.trainable_variables)
    large = {f"weight_{i}": i for i, v in enumerate(trainable) if math.prod(v.shape) >= LARGE_WEIGHT}

    def answer(columns: dict[str, Any], weights: dict[str, Any]) -> dict[str, Any]:
        values = [v.value for v in trainable]
        for name, i in large.items():
            values[i] = weights[name]
        fixed = [v.value for v in model.non_trainable_variables]
        answers, _ = model.stateless_call(values, fixed, columns, training=False)
        return {output: answers}

    signature = [
        {name: tf.TensorSpec([None], tensor.dtype, name=name) for name, tensor in model.input.items()},
        {name: tf.TensorSpec(trainable[i].shape, tf.float32, name=name) for name, i in large.items()},
    ]
    proto, _ = tf2onnx.convert.from_function(
        tf.function(answer, input_signature=signature), input_signature=signature, opset=ONNX_OPSET
    )
    columns = {value.name: value for value in proto.graph.input}
    del proto.graph.input[:]
    proto.graph.input.extend(columns[name] for name in model.input)
    for value in [*proto.graph.input, *proto.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    for name, i in large.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(trainable[i].numpy(), name))
    return proto


def _onnx_answers(path: Path, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (answers,) = session.run(None, dict(inputs))
    return np.asarray(answers, dtype=np.float32)


def framework_versions() -> dict[str, str]:
    """What the model was trained with."""
    return {"keras": keras.version(), "tensorflow": tf.__version__}
