"""What the planted signal promises: an optimum, nothing in single inputs, and zero marginals."""

import itertools

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from friesian_fast.evaluate.pointwise import auc
from friesian_fast.usecases.recsys2021 import planted

SIGNAL_INPUTS = ("tweet_type", "medium", "links", "domains")


def draw(count, seed=0):
    rng = np.random.default_rng(seed)
    medium = np.where(rng.random(count) < 0.1, -1, rng.integers(0, 3, count))
    types, links, domains = rng.integers(0, 3, count), rng.integers(0, 11, count), rng.integers(0, 11, count)
    return planted.SignalInputs(types, medium, links, domains)


def grid():
    """Every combination once, with its probability."""
    values = np.array(list(itertools.product(range(3), range(-1, 3), range(11), range(11))))
    chance = np.where(values[:, 1] < 0, 0.1, 0.3)
    return planted.SignalInputs(*values.T), chance / chance.sum()


def test_the_crosses_are_standardised():
    inputs, chance = grid()
    term = planted.crosses(inputs)
    assert chance @ term == pytest.approx(0, abs=1e-12)
    assert chance @ term**2 == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", SIGNAL_INPUTS)
def test_no_single_input_shifts_the_log_odds(name):
    inputs, chance = grid()
    term, column = planted.crosses(inputs), getattr(inputs, name)
    for value in np.unique(column):
        rows = column == value
        assert chance[rows] @ term[rows] == pytest.approx(0, abs=1e-12)


def test_hidden_vectors_have_products_of_variance_one():
    rng = np.random.default_rng(0)
    products = np.einsum("nd,nd->n", planted.hidden_vectors(rng, 50_000), planted.hidden_vectors(rng, 50_000))
    assert products.mean() == pytest.approx(0, abs=0.03)
    assert products.var() == pytest.approx(1, abs=0.05)


def test_optimum_is_in_range_and_no_single_inputs_come_near():
    """A logistic regression on the one-hot of all inputs, the hashed cross of media and language included."""
    count = 40_000
    rng = np.random.default_rng(1)
    inputs = draw(count)
    chance = planted.positive_chance(inputs, 1.0)
    labels = (rng.random(count) < chance).astype(float)
    second = rng.integers(0, 4, count)
    media = np.where(inputs.medium < 0, 0, 1 + 4 * inputs.medium + second)
    language = rng.integers(0, 65, count)
    buckets = rng.integers(0, 600, 13 * 65)
    single = [media, inputs.tweet_type, inputs.links, inputs.domains, language, buckets[media * 65 + language]]
    single += [rng.integers(0, size, count) for size in (51, 2, 2, 4, 4, 4, 4)]
    features = OneHotEncoder(dtype=np.float32).fit_transform(np.stack(single, axis=1))
    train, test = slice(0, 32_000), slice(32_000, None)
    model = LogisticRegression(C=0.1, max_iter=200).fit(features[train], labels[train])
    optimum = auc(labels[test], chance[test])
    assert 0.75 <= optimum <= 0.80
    assert auc(labels[test], model.predict_proba(features[test])[:, 1]) < optimum - 0.2
