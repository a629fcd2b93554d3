"""The ranker: a deep model over the numbers of user, item and pair, which it scales itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from friesian_fast.models.inputs import check_columns
from friesian_fast.models.wide_and_deep import WideAndDeepInputs, wide_and_deep
from friesian_fast.train.loop import fit

Rows = dict[str, NDArray[Any]]


def train_ranker(rows: Rows, labels: NDArray[Any], *, epochs: int, batch_size: int = 2048, seed: int) -> keras.Model:
    """Train on columns of numbers as they are.

    Parameters
    ----------
    rows : dict of str to ndarray of float32, shape (n,)
        By model input.
    labels : ndarray, shape (n,)
    epochs, batch_size, seed : int

    Returns
    -------
    keras.Model
        Takes these inputs; has the scaling that it was trained with in its first layer.
    """
    names = list(rows)
    check_columns(rows, [], names, where="the ranker's examples")
    means = {name: np.float32(rows[name].mean(dtype=np.float64)) for name in names}
    widths = {name: np.float32(rows[name].std(dtype=np.float64) or 1.0) for name in names}
    scaled = {name: (rows[name] - means[name]) / widths[name] for name in names}
    inputs = WideAndDeepInputs(continuous=names)
    model = wide_and_deep(inputs, hidden_units=(128, 64), dropout=0.1, seed=seed)
    fit(model, scaled, labels, epochs=epochs, batch_size=batch_size, learning_rate=1e-3, seed=seed)
    _take_scaling(model, names, means, widths)
    return model


def _take_scaling(
    model: keras.Model, names: list[str], means: Mapping[str, np.float32], widths: Mapping[str, np.float32]
) -> None:
    """Put ``(x - mean) / width`` into the first layer, which is linear."""
    layer = model.get_layer("dense_1")
    kernel, bias = layer.get_weights()
    kernel = kernel / np.array([widths[name] for name in names])[:, None]
    layer.set_weights([kernel, bias - np.array([means[name] for name in names]) @ kernel])
