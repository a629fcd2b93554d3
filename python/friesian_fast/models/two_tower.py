"""Two towers: a user and an item each become one unit vector; their inner product says how well they fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from friesian_fast.models.inputs import Categorical, require_unique, seed_stream

# Where the scale of the cosine starts: a larger one makes the first, random cosines cost more than no opinion.
FIRST_SCALE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerInputs:
    """The columns of one tower, in the order of its inputs.

    Parameters
    ----------
    indicator : sequence of Categorical
        Small ones: one-hot.
    embedding : sequence of Categorical
        Large ones: looked up in a trained table.
    continuous : sequence of str
        Numbers, taken as they are; scale them first.
    """

    indicator: Sequence[Categorical] = ()
    embedding: Sequence[Categorical] = ()
    continuous: Sequence[str] = ()

    @property
    def categorical(self) -> list[Categorical]:
        """The inputs of type int32, in order."""
        return [*self.indicator, *self.embedding]

    @property
    def names(self) -> list[str]:
        """All inputs, in order."""
        return [*(field.name for field in self.categorical), *self.continuous]


@dataclass(frozen=True, slots=True)
class TwoTower:
    """Three models over the same weights.

    Attributes
    ----------
    model : keras.Model
        All columns → score in [0, 1], shape (n,); train it with `friesian_fast.train.Estimator`.
    user, item : keras.Model
        The tower's columns → float32 vectors of length 1, shape (n, dim).
    """

    model: keras.Model
    user: keras.Model
    item: keras.Model


def two_tower(
    user: TowerInputs,
    item: TowerInputs,
    *,
    hidden_units: Sequence[int] = (1024, 512),
    dim: int = 128,
    embedding_dim: int = 16,
    seed: int = 0,
) -> TwoTower:
    """Build the towers; the score is ``sigmoid(scale * cosine + bias)`` with both learned.

    A cross-entropy on the bare cosine cannot say "likely" with less than a perfect fit, and an activation that keeps
    vectors non-negative forbids the opposite of a match: hence the learned logit, and a linear last layer.

    Parameters
    ----------
    user, item : TowerInputs
        No name may be in both.
    hidden_units : sequence of int, default (1024, 512)
        Dense layers with ReLU.
    dim : int, default 128
        Length of the vectors.
    embedding_dim : int, default 16
    seed : int, default 0
        Of the initial weights.

    Returns
    -------
    TwoTower
    """
    require_unique([*user.names, *item.names], "two-tower")
    seeds = seed_stream(seed)
    user_tensors, user_vector = _tower("user", user, hidden_units, dim, embedding_dim, seeds)
    item_tensors, item_vector = _tower("item", item, hidden_units, dim, embedding_dim, seeds)
    # In float32 also where the rest is computed in bfloat16, which tells scores apart to two digits only.
    cosine = layers.Dot(axes=1, name="cosine", dtype="float32")([user_vector, item_vector])
    start = keras.initializers.Constant(FIRST_SCALE)
    logit = layers.Dense(1, kernel_initializer=start, name="logit", dtype="float32")(cosine)
    score = ops.squeeze(layers.Activation("sigmoid", name="sigmoid", dtype="float32")(logit), axis=1)
    return TwoTower(
        model=keras.Model(
            user_tensors | item_tensors, layers.Identity(name="score", dtype="float32")(score), name="two_tower"
        ),
        user=keras.Model(user_tensors, user_vector, name="user_tower"),
        item=keras.Model(item_tensors, item_vector, name="item_tower"),
    )


def _tower(
    side: str, inputs: TowerInputs, hidden_units: Sequence[int], dim: int, embedding_dim: int, seeds: Iterator[int]
) -> tuple[dict[str, Any], Any]:
    tensors = {field.name: keras.Input((), dtype="int32", name=field.name) for field in inputs.categorical}
    tensors |= {name: keras.Input((), dtype="float32", name=name) for name in inputs.continuous}
    parts = [ops.one_hot(tensors[field.name], field.size) for field in inputs.indicator]
    for field in inputs.embedding:
        start = keras.initializers.RandomUniform(seed=next(seeds))
        table = layers.Embedding(field.size, embedding_dim, embeddings_initializer=start, name=f"embed_{field.name}")
        parts.append(table(tensors[field.name]))
    parts += [ops.expand_dims(tensors[name], 1) for name in inputs.continuous]
    hidden = layers.Concatenate(name=f"{side}_input")(parts) if len(parts) > 1 else parts[0]
    for number, units in enumerate(hidden_units, start=1):
        hidden = _dense(units, "relu", f"{side}_dense_{number}", seeds)(hidden)
    vector = _dense(dim, None, f"{side}_vector", seeds)(hidden)
    return tensors, layers.UnitNormalization(name=f"{side}_embed_output", dtype="float32")(vector)


def _dense(units: int, activation: str | None, name: str, seeds: Iterator[int]) -> Any:
    start = keras.initializers.GlorotUniform(seed=next(seeds))
    return layers.Dense(units, activation=activation, kernel_initializer=start, name=name)
