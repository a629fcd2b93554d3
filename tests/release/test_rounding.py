"""Weights rounded to int8: each to its nearest, or making up for the errors of those before."""

import numpy as np
import pytest

from friesian_fast.release.rounding import rounded


def test_without_moments_each_weight_goes_to_its_nearest():
    codes, steps = rounded(np.array([[1.27, 0, -2], [0.014, 0, 0.0079], [-0.6, 0, 1]], np.float32))
    assert (codes.dtype, steps.dtype) == (np.int8, np.float32)
    np.testing.assert_array_equal(codes, [[127, 0, -127], [1, 0, 1], [-60, 0, 64]])
    np.testing.assert_allclose(steps, [0.01, 1, 2 / 127], rtol=1e-6)


def slowly(weights, moments):
    """After each weight that was rounded, the best values of all that are left, found anew."""
    k = len(weights)
    damped = moments + 0.01 * np.mean(np.diag(moments)) * np.eye(k)
    steps = np.abs(weights).max(axis=0) / 127
    values, codes = weights / steps, np.zeros(weights.shape, int)
    for row in range(k):
        codes[row] = np.clip(np.rint(values[row]), -127, 127)
        error, rest = codes[row] - values[row], slice(row + 1, k)
        values[row] = codes[row]
        if row + 1 < k:
            values[rest] -= np.linalg.solve(damped[rest, rest], damped[rest, row][:, None]) * error
    return codes


@pytest.mark.parametrize(("k", "n", "rank"), [(1, 3, 1), (5, 4, 5), (40, 7, 3), (130, 5, 12), (300, 4, 40)])
def test_the_rest_makes_up_for_what_was_rounded(k, n, rank):
    rng = np.random.default_rng(k)
    weights = rng.normal(size=(k, n)).astype(np.float32)
    inputs = (rng.normal(size=(200, rank)) @ rng.normal(size=(rank, k))).astype(np.float32)
    moments = inputs.T @ inputs
    codes, steps = rounded(weights, moments)
    wanted = slowly(weights.astype(np.float64), moments.astype(np.float64))
    off = np.abs(codes - wanted)
    assert (off.max() <= 1, (off > 0).mean() <= 0.02) == (True, True)  # a tie goes either way, by float32
    nearest = rounded(weights)[0]
    if rank < k:
        error, worse = (np.square(inputs @ (values * steps - weights)).mean() for values in (codes, nearest))
        assert error < worse / 3


@pytest.mark.parametrize("moments", [np.zeros((6, 6)), np.eye(6) * 7, np.full((6, 6), np.inf)])
def test_inputs_that_say_nothing_of_each_other_leave_the_nearest(moments):
    weights = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    np.testing.assert_array_equal(rounded(weights, moments.astype(np.float32))[0], rounded(weights)[0])
