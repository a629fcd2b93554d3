"""Numbers as JSON text."""

import json

import numpy as np
import pytest

from friesian_fast._core import json_array


def test_known_answers():
    assert json_array(np.array([], np.float32)) == b"[]"
    assert json_array(np.array([0.1, 1, -2.5, 0, -0.0, 1e-7, 3.4e38, np.nan, np.inf, -np.inf], np.float32)) == (
        b"[0.1, 1.0, -2.5, 0.0, -0.0, 1e-07, 3.4e+38, null, null, null]"
    )
    assert json_array(np.array([0, -1, 2**63 - 1, -(2**63)], np.int64)) == (
        b"[0, -1, 9223372036854775807, -9223372036854775808]"
    )


def test_every_float_reads_back_as_itself_in_no_more_digits_than_numpys():
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, np.uint64).astype(np.uint32)
    values = np.concatenate([bits.view(np.float32), np.random.default_rng(1).random(5_000, np.float32)])
    values = np.append(values[np.isfinite(values)], np.float32([1e-45, 1.1754944e-38, 16777216, 123456789, 1e15]))
    text = json_array(values).decode()
    read = json.loads(text)
    assert all(type(value) is float for value in read)
    np.testing.assert_array_equal(np.array(read, np.float32).view(np.uint32), values.view(np.uint32))
    for ours, theirs in zip(text[1:-1].split(", "), values.astype("U16").tolist(), strict=True):
        assert len(ours) <= len(theirs) + 2
    whole = np.random.default_rng(2).integers(-(2**63), 2**63 - 1, 5_000)
    assert json.loads(json_array(whole)) == whole.tolist()


@pytest.mark.parametrize(
    "bad", [np.zeros(3), np.zeros(3, np.int32), np.zeros((2, 2), np.float32), np.zeros(6, np.float32)[::2]]
)
def test_other_arrays_are_refused(bad):
    with pytest.raises(TypeError, match="values must be C-contiguous, aligned float32 or int64 of one dimension, got"):
        json_array(bad)
