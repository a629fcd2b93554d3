"""The ranker: Wide & Deep over the spec's inputs and the match of the two towers' vectors, which it carries itself."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import layers
from numpy.typing import NDArray

from friesian_fast.models.inputs import Categorical, check_columns
from friesian_fast.models.wide_and_deep import WideAndDeepInputs, wide_and_deep
from friesian_fast.spec import FeatureSpec
from friesian_fast.train.loop import fit, predict

MATCH = "match"
EMBED_FROM = 30  # categories with fewer values go in one-hot

Rows = dict[str, NDArray[Any]]


def train_ranker(
    spec: FeatureSpec, rows: Rows, labels: NDArray[Any], *, epochs: int, batch_size: int = 1024, seed: int
) -> keras.Model:
    """Train on the inputs of the spec and the column `match`.

    The match has to come from towers that have not seen the labels; `with_vectors` puts in those to serve with.
    """
    inputs = _inputs(spec)
    check_columns(rows, inputs.categorical, inputs.continuous, where="the ranker's examples")
    model = wide_and_deep(inputs, hidden_units=(128, 64), embedding_dim=16, dropout=0.2, seed=seed)
    fit(model, rows, labels, epochs=epochs, batch_size=batch_size, learning_rate=1e-3, seed=seed)
    return model


def with_vectors(
    model: keras.Model,
    spec: FeatureSpec,
    user_table: NDArray[np.float32],
    item_table: NDArray[np.float32],
) -> keras.Model:
    """The trained model with the vectors inside, so that it takes the inputs of the spec and no others.

    Parameters
    ----------
    model : keras.Model
        As from `train_ranker`.
    spec : FeatureSpec
    user_table, item_table : float32 ndarrays of shapes (users + 1, dim) and (items + 1, dim)
        By ``user_index`` and ``item_index``.
    """
    inputs = {}
    for model_input in spec.model_inputs:
        dtype = spec.input_column(model_input).type
        inputs[model_input.name] = keras.Input((), dtype=dtype, name=model_input.name)
    vectors = []
    for name, table in (("user_index", user_table), ("item_index", item_table)):
        fixed = keras.initializers.Constant(table)
        vectors.append(layers.Embedding(*table.shape, embeddings_initializer=fixed, trainable=False)(inputs[name]))
    match = layers.Reshape(())(layers.Dot(axes=1)(vectors))
    available = {**inputs, MATCH: match}
    score = model({name: available[name] for name in model.input})
    return keras.Model(inputs, layers.Identity(name="score")(score), name="ranker")


def by_index(index: NDArray[Any], vectors: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Vectors as a table of `size` rows by index; what has no vector is zero."""
    table = np.zeros((size, vectors.shape[1]), np.float32)
    table[index] = vectors
    return table


def input_rows(
    spec: FeatureSpec, users: pd.DataFrame, items: pd.DataFrame, user: NDArray[Any], item: NDArray[Any]
) -> Rows:
    """The ranker's inputs for pairs of rows of `users` and `items`; `user` and `item` have shape (n,)."""
    rows = {}
    for model_input in spec.model_inputs:
        frame, at = (users, user) if model_input.row_set == "user" else (items, item)
        rows[model_input.name] = frame[model_input.column].to_numpy()[at]
    return rows


def score_pairs(
    model: keras.Model,
    spec: FeatureSpec,
    users: pd.DataFrame,
    items: pd.DataFrame,
    lists: NDArray[Any],
    of: NDArray[Any],
) -> NDArray[np.float32]:
    """Scores of the lists of items, shape (n, k), of the users `of`, shape (n,); in the shape of the lists."""
    rows = input_rows(spec, users, items, np.repeat(of, lists.shape[1]), lists.ravel())
    return predict(model, rows).reshape(lists.shape)


def _inputs(spec: FeatureSpec) -> WideAndDeepInputs:
    indicator: list[Categorical] = []
    embedding: list[Categorical] = []
    continuous = [MATCH]
    for model_input in spec.model_inputs:
        column = spec.input_column(model_input)
        if column.size is None:
            continuous.append(model_input.name)
        else:
            group = indicator if column.size < EMBED_FROM else embedding
            group.append(Categorical(model_input.name, column.size))
    return WideAndDeepInputs(indicator=indicator, embedding=embedding, continuous=continuous)
