"""Wide & Deep: a linear part that remembers beside a deep part that generalises, summed into one logit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from friesian_fast.models.inputs import Categorical, require_unique, seed_stream

# Few steps (the walkthrough takes 125) would leave Keras' default of 0.99 far from the activations' true moments.
BATCH_NORM_MOMENTUM = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class WideAndDeepInputs:
    """The columns of a Wide & Deep model, in the order of its inputs.

    Parameters
    ----------
    wide, cross : sequence of Categorical
        Feed the linear part; each is one weight per id, looked up.
    indicator : sequence of Categorical
        Small ones: one-hot into the first hidden layer. (For widths of a few hundred the matrix product is
        cheaper than gathering and adding the rows of the layer's kernel, and it is the same sum.)
    embedding : sequence of Categorical
        Large ones: looked up in a trained table.
    continuous : sequence of str
        Numbers, taken as they are; scale them first.
    """

    wide: Sequence[Categorical] = ()
    cross: Sequence[Categorical] = ()
    indicator: Sequence[Categorical] = ()
    embedding: Sequence[Categorical] = ()
    continuous: Sequence[str] = ()

    @property
    def categorical(self) -> list[Categorical]:
        """The inputs of type int32, in order."""
        return [*self.wide, *self.cross, *self.indicator, *self.embedding]

    @property
    def names(self) -> list[str]:
        """All inputs, in order."""
        return [*(field.name for field in self.categorical), *self.continuous]


def wide_and_deep(
    inputs: WideAndDeepInputs,
    *,
    hidden_units: Sequence[int] = (1024, 1024),
    embedding_dim: int = 8,
    dropout: float = 0.1,
    seed: int = 0,
) -> keras.Model:
    """Build the model; train it with `friesian_fast.train.Estimator`.

    Parameters
    ----------
    inputs : WideAndDeepInputs
    hidden_units : sequence of int, default (1024, 1024)
        Each is Dense, batch normalisation, ReLU, dropout.
    embedding_dim : int, default 8
    dropout : float, default 0.1
    seed : int, default 0
        Of the initial weights and the dropout.

    Returns
    -------
    keras.Model
        Takes a dict of name → int32 (categorical) or float32 (continuous) of shape (n,); returns the scores
        in [0, 1], float32 of shape (n,). Its layer `logit` holds them before the sigmoid, shape (n, 1).

    Examples
    --------
    >>> fields = WideAndDeepInputs(indicator=[Categorical("country", 40)], continuous=["age"])
    >>> wide_and_deep(fields, hidden_units=[16]).output_shape
    (None,)
    """
    require_unique(inputs.names, "Wide & Deep")
    seeds = seed_stream(seed)
    tensors = {field.name: keras.Input((), dtype="int32", name=field.name) for field in inputs.categorical}
    tensors |= {name: keras.Input((), dtype="float32", name=name) for name in inputs.continuous}
    logit = _deep(inputs, tensors, hidden_units, embedding_dim, dropout, seeds)
    linear = [
        layers.Embedding(field.size, 1, embeddings_initializer="zeros", name=f"wide_{field.name}")(tensors[field.name])
        for field in [*inputs.wide, *inputs.cross]
    ]
    # In float32 also where the rest is computed in bfloat16, which tells scores apart to two digits only.
    whole = layers.Add if linear else layers.Identity
    logit = whole(name="logit", dtype="float32")([logit, *linear] if linear else logit)
    score = ops.squeeze(layers.Activation("sigmoid", name="sigmoid", dtype="float32")(logit), axis=1)
    return keras.Model(tensors, layers.Identity(name="score", dtype="float32")(score), name="wide_and_deep")


def _deep(
    inputs: WideAndDeepInputs,
    tensors: dict[str, Any],
    hidden_units: Sequence[int],
    embedding_dim: int,
    dropout: float,
    seeds: Iterator[int],
) -> Any:
    parts = [ops.one_hot(tensors[field.name], field.size) for field in inputs.indicator]
    for field in inputs.embedding:
        start = keras.initializers.RandomUniform(seed=next(seeds))
        table = layers.Embedding(field.size, embedding_dim, embeddings_initializer=start, name=f"embed_{field.name}")
        parts.append(table(tensors[field.name]))
    parts += [ops.expand_dims(tensors[name], 1) for name in inputs.continuous]
    hidden = layers.Concatenate(name="deep_input")(parts) if len(parts) > 1 else parts[0]
    for number, units in enumerate(hidden_units, start=1):
        start = keras.initializers.GlorotUniform(seed=next(seeds))
        hidden = layers.Dense(units, kernel_initializer=start, name=f"dense_{number}")(hidden)
        hidden = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"batch_norm_{number}")(hidden)
        hidden = layers.ReLU(name=f"relu_{number}")(hidden)
        hidden = layers.Dropout(dropout, seed=next(seeds), name=f"dropout_{number}")(hidden)
    start = keras.initializers.GlorotUniform(seed=next(seeds))
    return layers.Dense(1, kernel_initializer=start, name="deep")(hidden)
