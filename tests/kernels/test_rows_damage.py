"""Whatever a row holds, decoding raises a named error or returns arrays; it never crashes."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friesian_fast.errors import InvalidInputError, SchemaMismatchError
from friesian_fast.spec import Column, RowSet
from friesian_fast.store import RowCodec

TAG = b"rowtag!!"
ROW_SET = RowSet(
    name="item",
    id_column="id",
    id_type="int64",
    columns=(
        Column(name="a", type="int32"),
        Column(name="b", type="float64"),
        Column(name="c", type="float32", kind="fixed", length=3),
        Column(name="d", type="int64", kind="list", length=4),
        Column(name="e", type="int32", kind="list", length=5),
    ),
)


def sound_row() -> bytes:
    columns = {
        "a": np.array([1], np.int32),
        "b": np.array([2.0]),
        "c": np.ones((1, 3), np.float32),
        "d": np.ones((1, 3), np.int64),
        "e": np.ones((1, 5), np.int32),
    }
    return RowCodec(ROW_SET, TAG).encode(columns)[0]


def test_every_truncation_raises():
    codec, row = RowCodec(ROW_SET, TAG), sound_row()
    for size in range(1, len(row)):
        with pytest.raises(InvalidInputError, match="row 0"):
            codec.decode([row[:size]])


def test_every_bit_of_the_header_matters():
    """Tag, version, reserved bytes and length: all 128 bits."""
    codec, row = RowCodec(ROW_SET, TAG), sound_row()
    for bit in range(128):
        damaged = bytearray(row)
        damaged[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises((InvalidInputError, SchemaMismatchError), match="row 0"):
            codec.decode([bytes(damaged)])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8 * 104 - 1)), min_size=1, max_size=6))
def test_flipped_bits_never_crash(flips):
    codec, row = RowCodec(ROW_SET, TAG), bytearray(sound_row())
    for (bit,) in flips:
        row[bit // 8 % len(row)] ^= 1 << (bit % 8)
    with suppress(InvalidInputError, SchemaMismatchError):
        assert codec.decode([bytes(row)]).columns["e"].shape == (1, 5)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_never_crash(noise, with_header):
    """With a right header the counts are reached."""
    size = (16 + len(noise)).to_bytes(4, "little")
    row = TAG + b"\1\0\0\0" + size + noise if with_header else noise
    with suppress(InvalidInputError, SchemaMismatchError):
        assert RowCodec(ROW_SET, TAG).decode([row]).found.tolist() == [len(row) > 0]
