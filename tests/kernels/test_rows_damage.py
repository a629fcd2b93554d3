"""Whatever a row holds, decoding raises a named error or returns arrays; it never crashes."""

from __future__ import annotations

import itertools
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference.rows import sealed

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


def sound_row(elements: int = 5) -> bytes:
    """A row whose last list has so many elements."""
    columns = {
        "a": np.array([1], np.int32),
        "b": np.array([2.0]),
        "c": np.ones((1, 3), np.float32),
        "d": np.ones((1, 3), np.int64),
        "e": np.arange(1, elements + 1, dtype=np.int32).reshape(1, elements),
    }
    return RowCodec(ROW_SET, TAG).encode(columns)[0]


ROW_BYTES = len(sound_row())


def test_every_truncation_raises():
    codec, row = RowCodec(ROW_SET, TAG), sound_row()
    for size in range(1, len(row)):
        with pytest.raises(InvalidInputError, match="row 0"):
            codec.decode([row[:size]])


@pytest.mark.parametrize("elements", range(6))
def test_every_bit_matters(elements):
    """Rows whose words fill the registers of the checksum, and some that leave one, two or three over."""
    codec, row = RowCodec(ROW_SET, TAG), sound_row(elements)
    for bit in range(8 * len(row)):
        damaged = bytearray(row)
        damaged[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises((InvalidInputError, SchemaMismatchError), match="row 0"):
            codec.decode([bytes(damaged)])


def test_words_that_change_places_are_found():
    codec, row = RowCodec(ROW_SET, TAG), sound_row(5)
    words = [row[at : at + 8] for at in range(0, len(row), 8)]
    for a, b in itertools.combinations(range(3, len(words)), 2):
        swapped = list(words)
        swapped[a], swapped[b] = words[b], words[a]
        if words[a] != words[b]:
            with pytest.raises(InvalidInputError, match="checksum"):
                codec.decode([b"".join(swapped)])


@pytest.mark.parametrize("number", [0, 1, -1, 255])
def test_numbers_that_change_places_or_vanish_are_found(number):
    """The halves of one word, of different words, and zeros or a small number in their stead."""
    codec, row = RowCodec(ROW_SET, TAG), sound_row()
    halves = [row[at : at + 4] for at in range(0, len(row), 4)]
    places = range(8, len(halves))
    damages = [{a: halves[b], b: halves[a]} for a, b in itertools.combinations(places, 2) if halves[a] != halves[b]]
    other = number.to_bytes(4, "little", signed=True)
    damages += [{a: other} for a in places if halves[a] != other]
    damages += [{**dict.fromkeys(range(a, len(halves)), bytes(4))} for a in places]
    for damage in damages:
        damaged = b"".join(damage.get(i, half) for i, half in enumerate(halves))
        if damaged != row:
            with pytest.raises(InvalidInputError, match="checksum"):
                codec.decode([damaged])


def test_words_cut_off_or_added_are_found():
    """Under a header that says the new length."""
    codec, row = RowCodec(ROW_SET, TAG), sound_row()
    for size in [*range(64, len(row), 8), *range(len(row) + 8, len(row) + 800, 8)]:
        other = (row + bytes(800))[:size]
        with pytest.raises(InvalidInputError, match="row 0: its checksum"):
            codec.decode([other[:12] + size.to_bytes(4, "little") + other[16:]])


@settings(max_examples=300, deadline=None)
@given(st.sets(st.integers(0, 8 * ROW_BYTES - 1), min_size=1, max_size=64))
def test_flipped_bits_are_found(flips):
    codec, row = RowCodec(ROW_SET, TAG), bytearray(sound_row())
    for bit in flips:
        row[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises((InvalidInputError, SchemaMismatchError), match="row 0"):
        codec.decode([bytes(row)])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(8 * 16, 8 * ROW_BYTES - 1), min_size=1, max_size=6))
def test_sealed_rows_never_crash(flips):
    """Another writer's mistakes, under a checksum that matches."""
    codec, row = RowCodec(ROW_SET, TAG), bytearray(sound_row())
    for bit in flips:
        row[bit // 8] ^= 1 << (bit % 8)
    with suppress(InvalidInputError):
        assert codec.decode([sealed(bytes(row))]).columns["e"].shape == (1, 5)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_never_crash(noise, with_header):
    """With a right header the counts are reached."""
    size = (16 + len(noise)).to_bytes(4, "little")
    row = sealed(TAG + b"\3\0\0\0" + size + noise) if with_header else noise
    with suppress(InvalidInputError, SchemaMismatchError):
        assert RowCodec(ROW_SET, TAG).decode([row]).found.tolist() == [len(row) > 0]
