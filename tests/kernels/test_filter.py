"""Rows in a range or a set as bitmaps: known answers, then every level against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from friesian_fast import _core
from friesian_fast.recall.columns import bits_of

TYPES = ["int32", "int64", "float32", "float64"]
# Around the lanes of a register and the bits of a word.
LENGTHS = [0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 1000]
LEVELS = _core.runnable_simd_levels()
types = pytest.mark.parametrize("dtype", TYPES)


def test_range_known_answer():
    values = np.array([4, 5, 6, 7, -1], np.int32)
    assert _core.filter_range(values, 5, 6).tolist() == [0b00110]
    assert _core.filter_range(values, 6, 5).tolist() == [0]
    assert _core.filter_range(np.array([0.5, np.nan, np.inf]), -np.inf, np.inf).tolist() == [0b101]
    assert _core.filter_range(np.zeros(65, np.float32), 0, 0).tolist() == [2**64 - 1, 1]


def test_set_known_answer():
    values = np.array([4, 5, 6, 7, -1], np.int32)
    assert _core.filter_set(values, np.array([-1, 6], np.int32)).tolist() == [0b10100]
    assert _core.filter_set(values, np.array([], np.int32)).tolist() == [0]
    assert _core.filter_set(np.array([0.25, 3.0]), np.array([3.0])).tolist() == [0b10]


@types
@pytest.mark.parametrize("n", LENGTHS)
def test_range_like_numpy(level, dtype, n):
    """A slice begins anywhere; the bits behind the last row are 0."""
    values = np.random.default_rng(n).integers(-50, 50, n + 1).astype(dtype)[1:]
    got = _core.filter_range(values, -10, 20, level=level)
    assert bits_of(got, n).tolist() == ((values >= -10) & (values <= 20)).tolist()
    assert _core.bitmap_count(got) == ((values >= -10) & (values <= 20)).sum()


@types
def test_range_ends(level, dtype):
    kind = np.dtype(dtype)
    info = np.iinfo(kind) if kind.kind == "i" else np.finfo(kind)
    values = np.array([info.min, 0, info.max] * 30, kind)
    low, high = values[0].item(), values[2].item()
    assert bits_of(_core.filter_range(values, low, high, level=level), 90).all()
    assert bits_of(_core.filter_range(values, low, low, level=level), 90).tolist() == [True, False, False] * 30
    assert bits_of(_core.filter_range(values, high, high, level=level), 90).tolist() == [False, False, True] * 30


@types
@pytest.mark.parametrize("n", LENGTHS)
def test_set_like_numpy(level, dtype, n):
    values = np.random.default_rng(n).integers(-50, 50, n + 1).astype(dtype)[1:]
    for wanted in ([], [7], [-50, 49], range(-60, 60, 3)):
        some = np.array(wanted, dtype)
        got = _core.filter_set(values, some, level=level)
        assert bits_of(got, n).tolist() == np.isin(values, some).tolist()


@pytest.mark.parametrize(
    "wanted", [[-(2**31), 2**31 - 1], [2**31 - 65, 2**31 - 1], [-(2**31), -(2**31) + 31], [0, 2**22]]
)
def test_set_far_apart(level, wanted):
    """With a table, and with a range too wide for one; differences that pass 2^31."""
    values = np.tile(np.array([*wanted, wanted[0] + 1, 0, -1, 5], np.int32), 40)
    some = np.array(wanted, np.int32)
    got = _core.filter_set(values, some, level=level)
    assert bits_of(got, len(values)).tolist() == np.isin(values, some).tolist()


@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=200), st.lists(st.integers(-(2**31), 2**31 - 1), max_size=9))
def test_levels_agree(values, wanted):
    rows = np.array(values + wanted, np.int32)
    some = np.array(sorted(set(wanted)), np.int32)
    low, high = ([*wanted, 0, 0])[:2]
    for level in LEVELS:
        inside = bits_of(_core.filter_range(rows, low, high, level=level), len(rows))
        assert inside.tolist() == [low <= value <= high for value in rows.tolist()]
        found = bits_of(_core.filter_set(rows, some, level=level), len(rows))
        assert found.tolist() == np.isin(rows, some).tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _core.filter_range(np.zeros(3, np.uint8), 0, 1), "int32, int64, float32 or float64, got uint8"),
        (lambda: _core.filter_range(np.zeros((3, 1)), 0, 1), "values must be 1-D and C-contiguous"),
        (lambda: _core.filter_range(np.zeros(6)[::2], 0, 1), "values must be 1-D and C-contiguous"),
        (lambda: _core.filter_set(np.zeros(3), np.zeros(1, np.int32)), "dtype of values, float64, got int32"),
        (lambda: _core.filter_set(np.zeros(3), np.array([1.0, 1.0])), "wanted must rise strictly"),
        (lambda: _core.filter_set(np.zeros(3), np.array([np.nan, 1.0])), "wanted must rise strictly"),
        (lambda: _core.filter_set(np.zeros(3), np.array([1.0, np.nan])), "rise strictly and hold no NaN"),
        (lambda: _core.filter_set(np.zeros(3, np.float32), np.array([np.nan], np.float32)), "hold no NaN"),
        (lambda: _core.bitmap_count(np.zeros(3)), "bitmap must be uint64"),
    ],
)
def test_rejects(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
