"""The ranker: deep models over the numbers of user, item and pair, which it scales itself; their logits' mean."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pyarrow as pa
from keras import layers, ops
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.models.inputs import check_columns
from friesian_fast.models.wide_and_deep import WideAndDeepInputs, wide_and_deep
from friesian_fast.train import Estimator

Rows = dict[str, NDArray[Any]]
MEMBERS = 3  # first weights alone move a metric by up to 0.007 on October; the mean is near the best of them in each
_RATE, _LAST_RATE = 1e-3, 2e-4
_NUMBERS, _LABEL = "numbers", "label"


def train_ranker(rows: Rows, labels: NDArray[Any], *, epochs: int, batch_size: int = 2048, seed: int) -> keras.Model:
    """Train on columns of numbers as they are.

    Parameters
    ----------
    rows : dict of str to ndarray of float32, shape (n,)
        By model input.
    labels : ndarray of float32, shape (n,)
        0 or 1; both must occur.
    epochs, batch_size, seed : int
        Of each member; the last ``epochs // 3`` epochs take smaller steps: one of 5, none of 2 or of 1.

    Returns
    -------
    keras.Model
        Takes these inputs; has the scaling that it was trained with in its members' first layers.

    Raises
    ------
    InvalidInputError
        If a column has another number of rows than there are labels, or holds what is no number, or if the labels are
        others than 0 and 1 or all the same.
    """
    names = list(rows)
    for name in names:
        if rows[name].shape != (len(labels),):
            raise InvalidInputError(
                f"the ranker's examples: column '{name}' has shape {rows[name].shape}, the {len(labels)} labels ask "
                f"for ({len(labels)},); build both from the same proposals"
            )
    check_columns(rows, [], names, where="the ranker's examples")
    numbers = np.column_stack([rows[name] for name in names])
    means, widths = numbers.mean(axis=0, dtype=np.float64), numbers.std(axis=0, dtype=np.float64)
    widths[widths == 0] = 1.0
    numbers = ((numbers - means) / widths).astype(np.float32)
    flat = pa.array(numbers.reshape(-1))
    table = pa.table({_NUMBERS: pa.FixedSizeListArray.from_arrays(flat, len(names)), _LABEL: labels})
    last = epochs // 3
    members = []
    for number in range(MEMBERS):
        chance = seed * MEMBERS + number
        model = wide_and_deep(WideAndDeepInputs(continuous=names), hidden_units=(128, 64), dropout=0.1, seed=chance)
        # The last part begins with new moments, of gradients of its own.
        for part, rate in ((epochs - last, _RATE), (last, _LAST_RATE)):
            if part:
                Estimator.from_keras(_of_one_array(model, len(names), rate), seed=chance).fit(
                    table, part, batch_size, label_cols=_LABEL, buffer_rows=len(labels)
                )
        _take_scaling(model, means, widths)
        members.append(model)
    return _mean(members)


def _of_one_array(model: keras.Model, count: int, rate: float) -> keras.Model:
    """The model's logit, over the same weights, of its `count` inputs in one array, which is fed faster; compiled."""
    numbers = keras.Input((count,), name=_NUMBERS)
    deep = keras.Model(_first_layer(model).input, model.get_layer("logit").output)
    whole = keras.Model({_NUMBERS: numbers}, deep(numbers))
    whole.compile(keras.optimizers.Adam(rate), keras.losses.BinaryCrossentropy(from_logits=True))
    return whole


def _first_layer(model: keras.Model) -> layers.Dense:
    """The layer of weights that takes all inputs, in their order."""
    return next(layer for layer in model.layers if isinstance(layer, layers.Dense))


def _mean(members: list[keras.Model]) -> keras.Model:
    """One model of the members' mean logit."""
    inputs = {tensor.name: keras.Input((), dtype=tensor.dtype, name=tensor.name) for tensor in members[0].inputs}
    logits = [
        keras.Model(model.input, model.get_layer("logit").output, name=f"member_{number}")(inputs)
        for number, model in enumerate(members)
    ]
    logit = layers.Average(name="logit")(logits)
    score = ops.squeeze(layers.Activation("sigmoid", name="sigmoid")(logit), axis=1)
    return keras.Model(inputs, layers.Identity(name="score")(score), name="ranker")


def _take_scaling(model: keras.Model, means: NDArray[np.float64], widths: NDArray[np.float64]) -> None:
    """Put ``(x - mean) / width`` into the first layer, which is linear."""
    layer = _first_layer(model)
    kernel, bias = layer.get_weights()
    kernel = kernel / widths[:, None]
    layer.set_weights([kernel, bias - means @ kernel])
