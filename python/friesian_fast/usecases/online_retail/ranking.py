"""The ranker: deep models over the numbers of user, item and pair, which it scales itself; their logits' mean."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pyarrow as pa
from keras import layers, ops
from numpy.typing import NDArray

from friesian_fast.evaluate.pointwise import require_two_classes
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
        All members take the same batches; the last third of the epochs takes smaller steps.

    Returns
    -------
    keras.Model
        Takes these inputs; has the scaling that it was trained with in its members' first layers.
    """
    names = list(rows)
    check_columns(rows, [], names, where="the ranker's examples")
    require_two_classes(labels, "the ranker's examples")
    numbers = np.column_stack([rows[name] for name in names])
    means, widths = numbers.mean(axis=0, dtype=np.float64), numbers.std(axis=0, dtype=np.float64)
    widths[widths == 0] = 1.0
    numbers = ((numbers - means) / widths).astype(np.float32)
    inputs = WideAndDeepInputs(continuous=names)
    members = [
        wide_and_deep(inputs, hidden_units=(128, 64), dropout=0.1, seed=seed * MEMBERS + number)
        for number in range(MEMBERS)
    ]
    smaller_from = epochs - epochs // 3
    rate = keras.callbacks.LearningRateScheduler(lambda epoch: _RATE if epoch < smaller_from else _LAST_RATE)
    flat = pa.array(numbers.reshape(-1))
    Estimator.from_keras(_side_by_side(members, len(names)), seed=seed).fit(
        pa.table({_NUMBERS: pa.FixedSizeListArray.from_arrays(flat, len(names)), _LABEL: labels}),
        epochs,
        batch_size,
        label_cols=_LABEL,
        callbacks=[rate],
        buffer_rows=len(labels),
    )
    for model in members:
        _take_scaling(model, means, widths)
    return _mean(members)


def _side_by_side(members: list[keras.Model], count: int) -> keras.Model:
    """The members' logits, shape (n, members), of all `count` numbers in one array, compiled to be trained at once."""
    numbers = keras.Input((count,), name=_NUMBERS)
    logits = []
    for number, model in enumerate(members):
        joined, logit = (model.get_layer(name).output for name in ("deep_input", "logit"))
        logits.append(keras.Model(joined, logit, name=f"member_{number}")(numbers))
    together = keras.Model({_NUMBERS: numbers}, layers.Concatenate(name="logits")(logits))
    together.compile(keras.optimizers.Adam(_RATE), _members_loss)
    return together


def _members_loss(labels: Any, logits: Any) -> Any:
    """The cross-entropy of each row, the mean of its members'; labels of shape (n,), logits (n, members)."""
    labels = ops.broadcast_to(ops.reshape(labels, (-1, 1)), ops.shape(logits))
    return ops.mean(ops.binary_crossentropy(labels, logits, from_logits=True), axis=-1)


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
    layer = model.get_layer("dense_1")
    kernel, bias = layer.get_weights()
    kernel = kernel / widths[:, None]
    layer.set_weights([kernel, bias - means @ kernel])
