"""The planted signal: what a label depends on, so that a model's quality can be told from chance.

The log-odds are a weighted sum of terms of variance 1. Each term is a product of two factors that are centred and
independent, so given any single input its mean is 0: a model without crosses sees nothing but noise. The factors are
inputs of the walkthrough's deep part, as they are after preprocessing:

========================== ===================================================================
tweet type × first medium  the cosine of the angle between the two on a circle of three
tweet type × links         quotes are liked with few links, top-level tweets with many
first medium × domains     photos are liked with few domains, GIFs with many
========================== ===================================================================

With repeating ids, half the variance is an inner product of a user's and an item's hidden vector instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOGIT_SCALE = 1.25
"""Standard deviation of the log-odds at signal 1; the best possible AUC is then about 0.78."""

WEIGHTS = (1.0, 0.7, 0.7)
HIDDEN_DIM = 8
HIDDEN_SHARE = 0.5

# Numbers of media, links and domains are uniform over 0..9, 0..10 and 0..10.
_HAS_MEDIA = 0.9
_COUNT_MEAN = 5.0
_COUNT_STD = np.sqrt(10.0)


@dataclass(frozen=True, slots=True)
class SignalInputs:
    """What the signal looks at, one entry per record.

    Parameters
    ----------
    tweet_type : ndarray of int, shape (n,)
        0..2.
    medium : ndarray of int, shape (n,)
        Of the first token, 0..2; -1 without media.
    links, domains : ndarray of int, shape (n,)
        How many, 0..10.
    """

    tweet_type: NDArray[np.int64]
    medium: NDArray[np.int64]
    links: NDArray[np.int64]
    domains: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> SignalInputs:
        """The inputs of those rows."""
        return SignalInputs(self.tweet_type[rows], self.medium[rows], self.links[rows], self.domains[rows])


def crosses(inputs: SignalInputs) -> NDArray[np.float64]:
    """The crosses' part of the log-odds, shape (n,), mean 0 and variance 1 over the generator's distribution."""
    has_media = inputs.medium >= 0
    turn = 2 * np.pi / 3 * (inputs.tweet_type - inputs.medium)
    circle = np.where(has_media, np.cos(turn), 0) * np.sqrt(2 / _HAS_MEDIA)
    kind = (inputs.tweet_type - 1) * np.sqrt(1.5)
    medium = np.where(has_media, inputs.medium - 1, 0) * np.sqrt(1.5 / _HAS_MEDIA)
    links = (inputs.links - _COUNT_MEAN) / _COUNT_STD
    domains = (inputs.domains - _COUNT_MEAN) / _COUNT_STD
    terms = np.stack([circle, kind * links, medium * domains])
    weights = np.array(WEIGHTS)
    total: NDArray[np.float64] = weights @ terms / np.linalg.norm(weights)
    return total


def hidden_vectors(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """One vector per user or item, shape (count, HIDDEN_DIM); two of them have an inner product of variance 1."""
    vectors: NDArray[np.float64] = rng.standard_normal((count, HIDDEN_DIM)) / np.sqrt(np.sqrt(HIDDEN_DIM))
    return vectors


def positive_chance(
    inputs: SignalInputs, strength: float, affinity: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """The chance that each record is positive.

    Parameters
    ----------
    inputs : SignalInputs
    strength : float
        1 is the standard signal.
    affinity : ndarray of float, shape (n,), or None
        Inner products of the hidden vectors.

    Returns
    -------
    ndarray of float, shape (n,)
    """
    term = crosses(inputs)
    if affinity is not None:
        term = np.sqrt(1 - HIDDEN_SHARE) * term + np.sqrt(HIDDEN_SHARE) * affinity
    chance: NDArray[np.float64] = 1 / (1 + np.exp(-strength * LOGIT_SCALE * term))
    return chance
