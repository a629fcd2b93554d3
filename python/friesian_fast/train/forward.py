"""A Keras model run over columns in memory, without the `Estimator`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

PREDICT_ROWS = 8192


def predict(
    model: keras.Model, columns: Mapping[str, NDArray[Any]], *, batch_size: int = PREDICT_ROWS
) -> NDArray[np.float32]:
    """Run a model over columns.

    Parameters
    ----------
    model : keras.Model
    columns : mapping of str to ndarray, shape (n,)
        Has every input of the model; other columns are ignored.
    batch_size : int, default 8192
        The answer does not depend on it.

    Returns
    -------
    ndarray of float32, shape (n, …)
    """
    inputs = {name: tf.constant(columns[name]) for name in model.input}
    rows = len(next(iter(inputs.values())))

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.int32)])  # type: ignore[untyped-decorator]
    def run(start: Any, end: Any) -> Any:
        return model({name: column[start:end] for name, column in inputs.items()}, training=False)

    batches = [run(i, min(i + batch_size, rows)).numpy() for i in range(0, rows, batch_size)]
    return np.concatenate(batches)
