"""Maximal marginal relevance: known answers, then against a slow definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import rules as reference

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError

INFINITE = np.full((4, 2), np.inf, np.float32)
TWINS = np.array([[1, 0], [2, 0], [0, 3], [0, 0]], np.float32)


@pytest.mark.parametrize(
    ("diversity", "picks"),
    [
        (0.0, [0, 1, 2, 3]),  # the ranking itself
        (0.5, [0, 2, 3, 1]),  # the second is the first's twin and comes last
        (1.0, [0, 2, 3, 1]),  # relevance decides among equals only
    ],
)
def test_known_answers(diversity, picks):
    relevance = np.array([1.0, 0.9, 0.8, 0.7], np.float32)
    assert _core.diversify(relevance, TWINS, 4, diversity).tolist() == picks
    assert _core.diversify(relevance, TWINS, 2, diversity).tolist() == picks[:2]
    assert _core.diversify(relevance, TWINS, 99, diversity).tolist() == picks


def test_all_equal_goes_by_number():
    assert _core.diversify(np.zeros(9, np.float32), np.ones((9, 3), np.float32), 5, 0.5).tolist() == list(range(5))


def test_nothing():
    assert _core.diversify(np.zeros(0, np.float32), np.zeros((0, 3), np.float32), 5, 0.5).tolist() == []
    assert _core.diversify(np.zeros(2, np.float32), np.zeros((2, 3), np.float32), 0, 0.5).tolist() == []


@given(st.integers(1, 30), st.integers(1, 19), st.floats(0.05, 0.95), st.integers(0, 2**32))
def test_like_the_reference(n, dim, diversity, seed):
    rng = np.random.default_rng(seed)
    relevance, vectors = rng.random(n, np.float32), rng.standard_normal((n, dim), np.float32)
    got = _core.diversify(relevance, vectors, 8, diversity).tolist()
    want = reference.diversify(relevance, vectors, 8, float(np.float32(diversity)))
    if dim > 1:  # in one dimension cosines are equal up to rounding
        assert got == want
    assert len(set(got)) == min(8, n)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.zeros(2), TWINS, 1, 0.5), TypeError, "relevance must be C-contiguous float32 of 1 dimensions"),
        ((np.zeros(4, np.float32), TWINS[:, :1], 1, 0.5), TypeError, "vectors must be C-contiguous float32"),
        ((np.zeros(3, np.float32), TWINS, 1, 0.5), ValueError, "there are 4 vectors, but 3 relevances"),
        ((np.full(4, np.nan, np.float32), TWINS, 1, 0.5), InvalidInputError, "relevance holds NaN or infinity"),
        (
            (np.zeros(4, np.float32), INFINITE, 1, 0.5),
            InvalidInputError,
            "vectors holds NaN or infinity",
        ),
        ((np.zeros(4, np.float32), TWINS, -1, 0.5), ValueError, "k must be at least 0"),
        ((np.zeros(4, np.float32), TWINS, 1, 1.5), ValueError, r"diversity must be in \[0, 1\]"),
    ],
)
def test_rejects(arguments, error, message):
    with pytest.raises(error, match=message):
        _core.diversify(*arguments)
