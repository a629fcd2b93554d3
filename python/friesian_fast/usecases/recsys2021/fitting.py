"""What both training steps do with the `Estimator`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from friesian_fast.errors import InvalidInputError
from friesian_fast.train import EarlyStopping, Estimator
from friesian_fast.train.job import ABOUT_SPEED

LABEL = "label"
METRICS = ("binary_accuracy", "binary_crossentropy", "auc", "precision", "recall")


def fit(
    model: keras.Model,
    train: Any,
    test: Any,
    *,
    features: Sequence[Any],
    epochs: int,
    batch_size: int,
    learning_rate: Any,
    early_stopping: int,
    seed: int,
) -> list[dict[str, float]]:
    """Train a model that has a layer `logit`; the metrics of each epoch, those of the test rows as ``val_<name>``.

    Parameters
    ----------
    model : keras.Model
        Trained in place.
    train, test : path or pyarrow.Table
    features : sequence of str or Categorical
    epochs, batch_size, seed : int
    learning_rate : float or keras.optimizers.schedules.LearningRateSchedule
    early_stopping : int
        Stop after so many epochs without a better ``val_auc``; 0 never does.
    """
    history = Estimator.from_keras(_logit_head(model, learning_rate), metrics=METRICS, seed=seed).fit(
        train,
        epochs,
        batch_size,
        feature_cols=features,
        label_cols=LABEL,
        validation_data=test,
        callbacks=[EarlyStopping(monitor="val_auc", patience=early_stopping)] if early_stopping else [],
    )
    if len(history) < epochs:
        print(f"Stopped early: val_auc has not improved for {early_stopping} epochs")
    return history


def _logit_head(model: keras.Model, learning_rate: Any) -> keras.Model:
    """The part of a model that gives its layer `logit`, over the same weights, compiled."""
    if isinstance(learning_rate, float) and not (math.isfinite(learning_rate) and learning_rate > 0):
        raise InvalidInputError(f"the learning rate must be above 0; it is {learning_rate}")
    head = keras.Model(model.input, model.get_layer("logit").output)
    head.compile(keras.optimizers.Adam(learning_rate), keras.losses.BinaryCrossentropy(from_logits=True))
    return head


def of_model(metrics: dict[str, float]) -> dict[str, float]:
    """Without what is about speed."""
    return {name: value for name, value in metrics.items() if name not in ABOUT_SPEED}
