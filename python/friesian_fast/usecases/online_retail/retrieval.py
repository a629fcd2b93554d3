"""Trains the two towers by in-batch sampled softmax and computes every user's and item's vector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from friesian_fast.models.inputs import Categorical
from friesian_fast.models.retrieval import Catalogue, Retrieval
from friesian_fast.models.two_tower import TowerInputs, two_tower
from friesian_fast.spec import FeatureSpec
from friesian_fast.train import Estimator
from friesian_fast.train.forward import predict
from friesian_fast.usecases.online_retail.features import ITEM_WORDS, input_name

TOWER_COLUMNS = {"user": ("user_index",), "item": ("item_index", *(f"word_{n}" for n in range(1, ITEM_WORDS + 1)))}


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
    """Learn which items go with which user: each epoch takes purchases drawn anew, late ones more often.

    See `Retrieval` for the loss.

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
    fields = {row_set: _fields(spec, row_set) for row_set in TOWER_COLUMNS}
    towers = two_tower(
        TowerInputs(embedding=fields["user"]),
        TowerInputs(embedding=fields["item"]),
        hidden_units=(),
        dim=settings.dim,
        embedding_dim=settings.dim,
        seed=settings.seed,
    )
    columns = {"user": tower_columns("user", users), "item": tower_columns("item", items)}
    user = pd.Index(users["user_id"]).get_indexer(purchases["user_id"])
    item = pd.Index(items["item_id"]).get_indexer(purchases["item_id"])
    age = (purchases["time"].max() - purchases["time"]).dt.total_seconds().to_numpy() / 86_400.0
    chance = 0.5 ** (age / settings.half_life_days)
    chance /= chance.sum()
    model = Retrieval(
        towers,
        item_id=input_name("item", "item_index"),
        temperature=settings.temperature,
        catalogue=_catalogue(columns["item"], np.bincount(item, chance, len(items))),
    )
    model.compile(keras.optimizers.Adam(settings.learning_rate))
    estimator = Estimator.from_keras(model, seed=settings.seed)
    rng = np.random.default_rng(settings.seed)
    # Each epoch is a fit of its own: an epoch of `fit` shows every row once, and here each draws other rows. Weights
    # and moments go on.
    for epoch in range(1, settings.epochs + 1):
        rows = rng.choice(len(user), size=len(user), p=chance)
        drawn = {name: values[user[rows]] for name, values in columns["user"].items()}
        drawn |= {name: values[item[rows]] for name, values in columns["item"].items()}
        (metrics,) = estimator.fit(
            pa.table(drawn),
            batch_size=settings.batch_size,
            feature_cols=[*fields["user"], *fields["item"]],
            buffer_rows=len(rows),
            verbose=False,
        )
        log(f"Two-tower epoch {epoch}/{settings.epochs} - loss {metrics['loss']:.4f}")
    return predict(towers.user, columns["user"]), predict(towers.item, columns["item"])


def _catalogue(columns: dict[str, NDArray[np.int32]], chance: NDArray[Any]) -> Catalogue:
    """Row 0 is of no item."""
    whole = {name: np.concatenate([np.zeros(1, np.int32), values]) for name, values in columns.items()}
    return Catalogue(columns=whole, chance=np.concatenate([np.zeros(1), chance]))


def tower_columns(row_set: str, rows: pd.DataFrame) -> dict[str, NDArray[np.int32]]:
    """The columns of a tower under its input names, int32 of shape (n,)."""
    return {input_name(row_set, name): rows[name].to_numpy(np.int32) for name in TOWER_COLUMNS[row_set]}


def _fields(spec: FeatureSpec, row_set: str) -> list[Categorical]:
    fields = []
    for name in TOWER_COLUMNS[row_set]:
        size = spec.row_set(row_set).column(name).size
        assert size is not None, f"tower column '{name}' is categorical"
        fields.append(Categorical(input_name(row_set, name), size))
    return fields
