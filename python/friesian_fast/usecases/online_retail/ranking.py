"""The ranker: deep models over the numbers of user, item and pair, which it scales itself; their logits' mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from friesian_fast.models.inputs import check_columns
from friesian_fast.models.wide_and_deep import WideAndDeepInputs, wide_and_deep
from friesian_fast.train.loop import fit

Rows = dict[str, NDArray[Any]]
MEMBERS = 3  # first weights alone move a metric by up to 0.007 on October; the mean is near the best of them in each
_RATE, _LAST_RATE = 1e-3, 2e-4


def train_ranker(rows: Rows, labels: NDArray[Any], *, epochs: int, batch_size: int = 2048, seed: int) -> keras.Model:
    """Train on columns of numbers as they are.

    Parameters
    ----------
    rows : dict of str to ndarray of float32, shape (n,)
        By model input.
    labels : ndarray, shape (n,)
    epochs, batch_size, seed : int
        Of each member; the last third of the epochs takes smaller steps.

    Returns
    -------
    keras.Model
        Takes these inputs; has the scaling that it was trained with in its members' first layers.
    """
    names = list(rows)
    check_columns(rows, [], names, where="the ranker's examples")
    means = {name: np.float32(rows[name].mean(dtype=np.float64)) for name in names}
    widths = {name: np.float32(rows[name].std(dtype=np.float64) or 1.0) for name in names}
    scaled = {name: (rows[name] - means[name]) / widths[name] for name in names}
    members = []
    for number in range(MEMBERS):
        chance = seed * MEMBERS + number
        model = wide_and_deep(WideAndDeepInputs(continuous=names), hidden_units=(128, 64), dropout=0.1, seed=chance)
        last = epochs // 3
        for part, rate in ((epochs - last, _RATE), (last, _LAST_RATE)):
            if part:
                fit(model, scaled, labels, epochs=part, batch_size=batch_size, learning_rate=rate, seed=chance)
        _take_scaling(model, names, means, widths)
        members.append(model)
    return _mean(members)


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


def _take_scaling(
    model: keras.Model, names: list[str], means: Mapping[str, np.float32], widths: Mapping[str, np.float32]
) -> None:
    """Put ``(x - mean) / width`` into the first layer, which is linear."""
    layer = model.get_layer("dense_1")
    kernel, bias = layer.get_weights()
    kernel = kernel / np.array([widths[name] for name in names])[:, None]
    layer.set_weights([kernel, bias - np.array([means[name] for name in names]) @ kernel])
