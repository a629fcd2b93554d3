"""One training step of a Keras model: its gradients, those of all workers added up, and what the optimizer does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from friesian_fast.errors import InvalidInputError
from friesian_fast.train.adam import LazyAdam
from friesian_fast.train.comm import Comm, sum_all


class KerasStep:
    """Takes the inputs and labels of a batch and its share of the rows; gives the loss and the predictions before it.

    Gradients of embedding tables stay row numbers with a gradient each, from the tape to the optimizer.

    Parameters
    ----------
    model : keras.Model
        Compiled.
    optimizer : LazyAdam or keras.optimizers.Optimizer
        Built for the model's trainable variables.
    comm : Comm
    signature : pair of nested tf.TensorSpec
        Of inputs and labels.
    """

    def __init__(self, model: keras.Model, optimizer: Any, comm: Comm, signature: tuple[Any, Any]) -> None:
        self._model = model
        self._optimizer = optimizer
        self._comm = comm
        self._variables = [weight.value for weight in model.trainable_variables]
        self._used: list[int] = []  # places of the variables that have a gradient
        self._sparse: list[bool] = []  # whether it is one of rows
        alone = comm.world == 1
        compiled = tf.function(
            self._whole if alone else self._gradients_here,
            input_signature=[*signature, tf.TensorSpec([], tf.float32)],
        )
        self._run = compiled if alone else self._together(compiled)

    def __call__(self, x: Any, y: Any, factor: float) -> tuple[Any, Any]:
        loss, predictions = self._run(x, y, tf.constant(factor, tf.float32))
        return loss, predictions

    def _whole(self, x: Any, y: Any, factor: Any) -> tuple[Any, Any]:
        loss, predictions, gradients = self._gradients(x, y, factor)
        self._apply(gradients)
        return loss, predictions

    def _gradients_here(self, x: Any, y: Any, factor: Any) -> tuple[Any, Any, list[Any]]:
        loss, predictions, gradients = self._gradients(x, y, factor)
        return loss, predictions, [_summed(g) if isinstance(g, tf.IndexedSlices) else g for g in gradients]

    def _gradients(self, x: Any, y: Any, factor: Any) -> tuple[Any, Any, list[Any]]:
        with tf.GradientTape() as tape:
            predictions, loss = _forward(self._model, x, y, training=True)
            scaled = loss * factor
        found = tape.gradient(scaled, self._variables)
        self._used = [at for at, gradient in enumerate(found) if gradient is not None]
        if not self._used:
            raise InvalidInputError("no weight of the model has a gradient; does its output depend on its weights?")
        gradients = [found[at] for at in self._used]
        self._sparse = [isinstance(gradient, tf.IndexedSlices) for gradient in gradients]
        return loss, predictions, gradients

    def _apply(self, gradients: list[Any]) -> None:
        if isinstance(self._optimizer, LazyAdam):
            self._optimizer.apply(gradients, self._used)
        else:
            self._optimizer.apply(gradients, [self._model.trainable_variables[at] for at in self._used])

    def _together(self, gradients_here: Callable[..., Any]) -> Callable[..., Any]:
        apply = tf.function(self._apply_parts, reduce_retracing=True)

        def step(x: Any, y: Any, factor: Any) -> tuple[Any, Any]:
            loss, predictions, gradients = gradients_here(x, y, factor)
            if not float(factor):
                gradients = [_nothing(gradient) for gradient in gradients]
            pairs = list(zip(self._sparse, gradients, strict=True))
            dense = sum_all(self._comm, [gradient.numpy() for sparse, gradient in pairs if not sparse])
            rows = self._comm.gather_rows([tuple(part.numpy() for part in g) for sparse, g in pairs if sparse])
            indices = [tf.constant(numbers) for numbers, _ in rows]
            values = [tf.constant(gradient) for _, gradient in rows]
            apply([tf.constant(gradient) for gradient in dense], indices, values)
            return loss, predictions

        return step

    def _apply_parts(self, dense: list[Any], indices: list[Any], values: list[Any]) -> None:
        whole, rows = iter(dense), iter(zip(indices, values, strict=True))
        gradients = []
        for at, sparse in zip(self._used, self._sparse, strict=True):
            if sparse:
                numbers, gradient = next(rows)
                gradients.append(tf.IndexedSlices(gradient, numbers, dense_shape=self._variables[at].shape))
            else:
                gradients.append(next(whole))
        self._apply(gradients)


def measure(model: keras.Model, x: Any, y: Any) -> tuple[Any, Any]:
    """The mean loss and the predictions of a batch, which nothing is learned from; counted in the model's metrics."""
    predictions, loss = _forward(model, x, y, training=False)
    return loss, predictions


def _forward(model: keras.Model, x: Any, y: Any, *, training: bool) -> tuple[Any, Any]:
    given = dict(x) if isinstance(x, dict) else x
    labels = y or None if isinstance(y, dict) else y
    predictions = model(given, training=training)
    loss = model.compute_loss(x=x, y=labels, y_pred=predictions, sample_weight=None, training=training)
    model.compute_metrics(x, labels, predictions)
    return predictions, loss


def _summed(gradient: Any) -> tuple[Any, Any]:
    """Each row number once, with the sum of its gradients: what is sent."""
    rows, position = tf.unique(tf.cast(gradient.indices, tf.int64))
    return rows, tf.math.unsorted_segment_sum(gradient.values, position, tf.size(rows))


def _nothing(gradient: Any) -> Any:
    """The gradient of no row: dense zeros, or of a table no row numbers."""
    return tuple(part[:0] for part in gradient) if isinstance(gradient, (tuple, list)) else tf.zeros_like(gradient)
