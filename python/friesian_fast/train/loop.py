"""Training, by the `Estimator`, and prediction of the library's models on columns in memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import tensorflow as tf
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.evaluate.pointwise import require_two_classes
from friesian_fast.train.estimator import Estimator
from friesian_fast.train.job import ABOUT_SPEED, EarlyStopping

Columns = Mapping[str, NDArray[Any]]

PREDICT_ROWS = 8192
METRICS = ("binary_accuracy", "binary_crossentropy", "auc", "precision", "recall")
_LABEL = "label of the rows"  # no input is called so


@dataclass(frozen=True, slots=True)
class History:
    """What the training log showed: one dict of metrics per epoch, those of the validation as ``val_<name>``."""

    epochs: list[dict[str, float]] = field(default_factory=list)

    @property
    def last(self) -> dict[str, float]:
        """The metrics of the weights that were kept."""
        return self.epochs[-1]


def fit(
    model: keras.Model,
    columns: Columns,
    labels: NDArray[Any],
    *,
    validation: tuple[Columns, NDArray[Any]] | None = None,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    early_stopping: int = 0,
    seed: int = 0,
    log: Callable[[str], None] = print,
) -> History:
    """Train a model that has a layer named `logit`, by binary cross-entropy and Adam.

    An epoch takes ``ceil(n / batch_size)`` steps over a new permutation of the rows, cut into near-equal batches (a
    last batch of a few rows would spoil its batch normalisation). Large embedding tables are updated lazily,
    see `LazyAdam`. The same seed, data and number of cores give the same weights.

    Parameters
    ----------
    model : keras.Model
        Takes a dict of columns; its layer `logit` gives shape (n, 1). Trained in place.
    columns : mapping of str to ndarray, shape (n,)
        Has every input of the model, in the input's dtype; other columns are ignored.
    labels : ndarray, shape (n,)
        0 or 1; both must occur.
    validation : (columns, labels) or None
        Measured after every epoch.
    epochs, batch_size : int
    learning_rate : float
    early_stopping : int, default 0
        Stop after so many epochs without a better ``val_auc``; 0 never stops.
    seed : int, default 0
        Of the order of the rows. (Initial weights and dropout have theirs from the model's builder.)
    log : callable, default print
        Gets one line per epoch.

    Returns
    -------
    History

    Raises
    ------
    InvalidInputError
        If a setting, a column's length or the labels cannot be used.
    """
    _check_settings(epochs, batch_size, early_stopping, has_validation=validation is not None)
    _check_arrays(model, columns, labels, "training data")
    if validation is not None:
        _check_arrays(model, validation[0], validation[1], "validation data")
    history = History()
    started = time.perf_counter()

    def told(epoch: int, logs: Mapping[str, float]) -> None:
        nonlocal started
        history.epochs.append({name: value for name, value in logs.items() if name not in ABOUT_SPEED})
        log(_line(epoch, epochs, time.perf_counter() - started, history.last))
        started = time.perf_counter()

    stopping = [EarlyStopping(monitor="val_auc", patience=early_stopping)] if early_stopping else []
    Estimator.from_keras(logit_head(model, learning_rate), metrics=METRICS, seed=seed).fit(
        _table(model, columns, labels),
        epochs,
        batch_size,
        label_cols=_LABEL,
        validation_data=None if validation is None else _table(model, *validation),
        callbacks=[*stopping, told],
        buffer_rows=len(labels),
        verbose=False,
    )
    if len(history.epochs) < epochs:
        log(f"Stopped early: val_auc has not improved for {early_stopping} epochs")
    return history


def logit_head(model: keras.Model, learning_rate: Any) -> keras.Model:
    """The part of a model that gives its layer `logit`, compiled with Adam and binary cross-entropy.

    Parameters
    ----------
    model : keras.Model
        Shares its weights with what is returned.
    learning_rate : float or keras.optimizers.schedules.LearningRateSchedule
    """
    if isinstance(learning_rate, float) and not (math.isfinite(learning_rate) and learning_rate > 0):
        raise InvalidInputError(f"the learning rate must be above 0; it is {learning_rate}")
    head = keras.Model(model.input, model.get_layer("logit").output)
    head.compile(keras.optimizers.Adam(learning_rate), keras.losses.BinaryCrossentropy(from_logits=True))
    return head


def _table(model: keras.Model, columns: Columns, labels: NDArray[Any]) -> pa.Table:
    table = {**{input_: columns[input_] for input_ in model.input}, _LABEL: labels}
    return pa.table({name: pa.array(values) for name, values in table.items()})


def predict(
    model: keras.Model, columns: Columns, *, output: str | None = None, batch_size: int = PREDICT_ROWS
) -> NDArray[np.float32]:
    """Run a model over columns.

    Parameters
    ----------
    model : keras.Model
    columns : mapping of str to ndarray, shape (n,)
        Has every input of the model; other columns are ignored.
    output : str or None
        Name of the layer to read; None is the model's own output.
    batch_size : int, default 8192
        The answer does not depend on it.

    Returns
    -------
    ndarray of float32, shape (n, …)
    """
    if output is not None:
        model = keras.Model(model.input, model.get_layer(output).output)
    return _predictor(model, columns, batch_size)()


def _predictor(model: keras.Model, columns: Columns, batch_size: int) -> Callable[[], NDArray[np.float32]]:
    """Compile once what may run after every epoch."""
    inputs = {name: tf.constant(columns[name]) for name in model.input}
    rows = len(next(iter(inputs.values())))

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.int32)])  # type: ignore[untyped-decorator]
    def run(start: Any, end: Any) -> Any:
        return model({name: column[start:end] for name, column in inputs.items()}, training=False)

    def run_all() -> NDArray[np.float32]:
        batches = [run(i, min(i + batch_size, rows)).numpy() for i in range(0, rows, batch_size)]
        return np.concatenate(batches)

    return run_all


def _check_settings(epochs: int, batch_size: int, early_stopping: int, *, has_validation: bool) -> None:
    if epochs < 1 or batch_size < 1:
        raise InvalidInputError(f"epochs and batch size must be at least 1; they are {epochs} and {batch_size}")
    if early_stopping < 0 or (early_stopping and not has_validation):
        raise InvalidInputError(f"early stopping after {early_stopping} epochs needs validation data; use 0 without")


def _check_arrays(model: keras.Model, columns: Columns, labels: NDArray[Any], where: str) -> None:
    for name in model.input:
        if name not in columns:
            raise InvalidInputError(f"{where}: the model's input '{name}' has no column")
        if len(columns[name]) != len(labels):
            raise InvalidInputError(f"{where}: column '{name}' has {len(columns[name])} rows, the labels {len(labels)}")
    if len(labels) == 0:
        raise InvalidInputError(f"{where}: there are no rows")
    require_two_classes(labels, where)


def _line(epoch: int, epochs: int, seconds: float, metrics: Mapping[str, float]) -> str:
    values = " - ".join(f"{name}: {value:.4f}" for name, value in metrics.items())
    return f"Epoch {epoch}/{epochs} - {seconds:.1f}s - {values}"
