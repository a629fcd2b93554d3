"""Trains the two towers by in-batch sampled softmax and computes every user's and item's vector."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from friesian_fast.errors import FriesianError
from friesian_fast.models.inputs import Categorical
from friesian_fast.models.two_tower import TowerInputs, TwoTower, two_tower
from friesian_fast.spec import FeatureSpec
from friesian_fast.train.adam import LazyAdam
from friesian_fast.train.loop import predict
from friesian_fast.usecases.online_retail.features import ITEM_WORDS, input_name

TOWER_COLUMNS = {"user": ("user_index",), "item": ("item_index", *(f"word_{n}" for n in range(1, ITEM_WORDS + 1)))}
_SAME_ITEM = -1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalSettings:
    """How the towers are trained; temperature and half-life did best on October 2011, learnt from what was before.

    Parameters
    ----------
    dim : int
        Of the vectors.
    epochs, batch_size : int
    learning_rate : float
    temperature : float
        Divides the cosines.
    half_life_days : float
        A purchase so long before the last one is drawn half as often.
    seed : int
    """

    dim: int = 64
    epochs: int = 6
    batch_size: int = 512
    learning_rate: float = 3e-3
    temperature: float = 0.1
    half_life_days: float = 60.0
    seed: int = 0


def train_towers(
    spec: FeatureSpec,
    users: pd.DataFrame,
    items: pd.DataFrame,
    purchases: pd.DataFrame,
    settings: RetrievalSettings,
    log: Callable[[str], None] = print,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Learn which items go with which user.

    Every user of a batch is to pick the item bought among all items of the batch. Those come up as often as they
    are bought, so their log-probability is taken off the logits (Bengio & Senécal, 2008; Yi et al., 2019).

    Parameters
    ----------
    spec : FeatureSpec
    users, items : pandas.DataFrame
        Feature rows, n and m of them.
    purchases : pandas.DataFrame
        ``user_id``, ``item_id``, ``time``; of these users and items.
    settings : RetrievalSettings
    log : callable, default print
        Gets one line per epoch.

    Returns
    -------
    user_vectors, item_vectors : float32 ndarrays of shapes (n, dim) and (m, dim)
        Of length 1.
    """
    towers = two_tower(
        _inputs(spec, "user"),
        _inputs(spec, "item"),
        hidden_units=(),
        dim=settings.dim,
        embedding_dim=settings.dim,
        seed=settings.seed,
    )
    columns = {"user": tower_columns("user", users), "item": tower_columns("item", items)}
    user = pd.Index(users["user_id"]).get_indexer(purchases["user_id"])
    item = pd.Index(items["item_id"]).get_indexer(purchases["item_id"])
    age = (purchases["time"].max() - purchases["time"]).dt.total_seconds().to_numpy() / 86_400.0
    weights = 0.5 ** (age / settings.half_life_days)
    drawn = np.bincount(item, weights=weights, minlength=len(items)) / weights.sum()
    step = _training_step(towers, columns, np.log(drawn + 1e-12), settings)
    rng = np.random.default_rng(settings.seed)
    steps = max(1, len(user) // settings.batch_size)
    for epoch in range(1, settings.epochs + 1):
        rows = rng.choice(len(user), size=steps * settings.batch_size, p=weights / weights.sum())
        batches = rows.reshape(steps, settings.batch_size)
        loss = float(np.mean([step(user[batch], item[batch]).numpy() for batch in batches]))
        log(f"Two-tower epoch {epoch}/{settings.epochs} - loss {loss:.4f}")
        if not math.isfinite(loss):
            raise FriesianError(f"the two-tower loss became {loss} in epoch {epoch}; lower the learning rate")
    return predict(towers.user, columns["user"]), predict(towers.item, columns["item"])


def tower_columns(row_set: str, rows: pd.DataFrame) -> dict[str, NDArray[np.int32]]:
    """The columns of a tower under its input names, int32 of shape (n,)."""
    return {input_name(row_set, name): rows[name].to_numpy(np.int32) for name in TOWER_COLUMNS[row_set]}


def _inputs(spec: FeatureSpec, row_set: str) -> TowerInputs:
    fields = []
    for name in TOWER_COLUMNS[row_set]:
        size = spec.row_set(row_set).column(name).size
        assert size is not None, f"tower column '{name}' is categorical"
        fields.append(Categorical(input_name(row_set, name), size))
    return TowerInputs(embedding=fields)


def _training_step(
    towers: TwoTower,
    columns: Mapping[str, Mapping[str, NDArray[np.int32]]],
    log_probability: NDArray[Any],
    settings: RetrievalSettings,
) -> Callable[[NDArray[Any], NDArray[Any]], Any]:
    """Compile one step; it takes row numbers of users and of the items they bought, and returns the loss."""
    user_columns = {name: tf.constant(values) for name, values in columns["user"].items()}
    item_columns = {name: tf.constant(values) for name, values in columns["item"].items()}
    drawn = tf.constant(log_probability, tf.float32)
    weights = [*towers.user.trainable_variables, *towers.item.trainable_variables]
    variables = [variable.value for variable in weights]
    optimizer = LazyAdam(variables, settings.learning_rate)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)] * 2)  # type: ignore[untyped-decorator]
    def step(user: Any, item: Any) -> Any:
        same = tf.logical_and(item[:, None] == item[None, :], tf.logical_not(tf.eye(tf.size(item), dtype=tf.bool)))
        with tf.GradientTape() as tape:
            left = towers.user({name: tf.gather(values, user) for name, values in user_columns.items()})
            right = towers.item({name: tf.gather(values, item) for name, values in item_columns.items()})
            logits = tf.matmul(left, right, transpose_b=True) / settings.temperature - tf.gather(drawn, item)
            logits = tf.where(same, _SAME_ITEM, logits)
            labels = tf.range(tf.size(item))
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        optimizer.apply(tape.gradient(loss, variables))
        return loss

    return lambda user, item: step(user.astype(np.int32), item.astype(np.int32))
