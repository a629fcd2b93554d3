"""How columns reach a Keras model: by name where its inputs have names, never by an order that nobody checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from friesian_fast.errors import InvalidInputError
from friesian_fast.train.comm import Array
from friesian_fast.train.fields import Field, Wanted
from friesian_fast.train.input import Batch


def input_tensors(model: keras.Model) -> list[Wanted] | None:
    """Names, types and lengths of a model's named inputs; None if it takes whatever it is given."""
    tensors = _tensors(model)
    if tensors is None or not isinstance(_structure(model), (dict, list)):
        return None
    return [Wanted(name, _dtype(tensor), _length(tensor)) for name, tensor in tensors.items()]


def _structure(model: keras.Model) -> Any:
    """The model's inputs as it takes them; None if it is of a class of its own, or a Sequential without an Input."""
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return None
    return inputs[0] if isinstance(model, keras.Sequential) else model.input


def _tensors(model: keras.Model) -> dict[str, Any] | None:
    inputs = _structure(model)
    if inputs is None or isinstance(inputs, dict):
        return inputs
    return {tensor.name: tensor for tensor in (inputs if isinstance(inputs, list) else [inputs])}


def _dtype(tensor: Any) -> str:
    kind = str(tensor.dtype)
    return kind if kind.startswith("int") else "float32"


def _length(tensor: Any) -> int | None:
    return int(tensor.shape[1]) if len(tensor.shape) == 2 and tensor.shape[1] not in (None, 1) else None


class Feed:
    """Turns batches into what a model takes.

    A model with a dict or a list of inputs gets the columns of their names; a list whose names are other ones gets the
    features in order. One unnamed input gets its one feature, as (n,) or (n, 1), or all features side by side as
    float32 of shape (n, features). A model of a class of its own gets a dict.

    Parameters
    ----------
    model : keras.Model
    features, labels : sequence of Field
    """

    def __init__(self, model: keras.Model, features: Sequence[Field], labels: Sequence[Field]) -> None:
        self._labels = [field.name for field in labels]
        names = [field.name for field in features]
        tensors = _tensors(model)
        self._ragged = [field.name for field in features if field.is_list and field.length is None]
        self._kind = "dict"
        self._is_flat = False  # one unnamed input, of shape (n,)
        self._order = names
        self._widths: dict[str, bool] = {}
        if tensors is None:
            self._kind = "one" if isinstance(model, keras.Sequential) else "dict"
            return
        inputs = _structure(model)
        self._kind = "dict" if isinstance(inputs, dict) else "list" if isinstance(inputs, list) else "one"
        if self._kind == "one":
            self._is_flat = len(inputs.shape) == 1
            return
        if set(tensors) <= set(names):
            self._order = list(tensors)
        elif self._kind == "dict" or len(tensors) != len(names):
            missing = sorted(set(tensors) - set(names))
            raise InvalidInputError(
                f"the model's input '{missing[0]}' has no column among the features {', '.join(names)}"
            )
        for name, tensor in zip(self._order, tensors.values(), strict=True):
            self._widths[name] = len(tensor.shape) == 2 and tensor.shape[1] == 1

    def inputs(self, columns: Mapping[str, Array]) -> Any:
        """What the model is called with."""
        values = {name: self._shaped(name, columns[name]) for name in self._order}
        if self._kind == "dict":
            return {name: tf.constant(value) for name, value in values.items()}
        if self._kind == "list":
            return [tf.constant(value) for value in values.values()]
        if len(values) == 1 and self._is_flat:
            return tf.constant(next(iter(values.values())))
        wide = [value[:, None] if value.ndim == 1 else value for value in values.values()]
        return tf.constant(wide[0] if len(wide) == 1 else np.concatenate(wide, axis=1).astype(np.float32))

    def _shaped(self, name: str, value: Array) -> Array:
        return value[:, None] if value.ndim == 1 and self._widths.get(name) else value

    def labels(self, columns: Mapping[str, Array]) -> Any:
        """The label, or a dict of labels; an empty one without any."""
        if len(self._labels) == 1:
            return tf.constant(columns[self._labels[0]])
        return {name: tf.constant(columns[name]) for name in self._labels}

    def batch(self, batch: Batch) -> tuple[Any, Any]:
        """Inputs and labels."""
        return self.inputs(batch.inputs), self.labels(batch.labels)

    def signature(self, first: Batch) -> tuple[Any, Any]:
        """Of batches like this one: any number of rows, and of elements of lists."""

        ragged = bool(self._ragged)

        def spec(tensor: Any) -> Any:
            inner = [None] * (len(tensor.shape) - 1) if ragged else tensor.shape[1:]
            return tf.TensorSpec([None, *inner], tensor.dtype)

        x, y = self.batch(first)
        return tf.nest.map_structure(spec, x), tf.nest.map_structure(spec, y)
