"""A damaged store file is refused, or its damaged rows are; nothing crashes."""

from __future__ import annotations

import dataclasses
from contextlib import suppress

import numpy as np
import pytest

from friesian_fast.errors import InvalidInputError, SchemaMismatchError
from friesian_fast.spec import Column, RowSet
from friesian_fast.store import MappedRowStore

TAG = b"the tag."
NUMBERS = RowSet(
    name="item",
    id_column="item_id",
    id_type="int64",
    columns=(Column(name="x", type="int32"), Column(name="l", type="int32", kind="list", length=4)),
)
STRINGS = dataclasses.replace(NUMBERS, id_type="string")
CASES = [(NUMBERS, np.arange(5)), (STRINGS, ["", "b", "cc", "a longer id", "é"])]
by_id_type = pytest.mark.parametrize(("row_set", "ids"), CASES, ids=["int64", "string"])
REFUSED = (InvalidInputError, SchemaMismatchError)


@pytest.fixture
def sound(tmp_path, row_set, ids):
    path = tmp_path / "sound.rows"
    columns = {"x": np.arange(5, dtype=np.int32), "l": np.arange(15, dtype=np.int32).reshape(5, 3)}
    MappedRowStore.write(path, row_set, TAG, ids, columns)
    return path.read_bytes()


@by_id_type
def test_every_truncation_is_refused(tmp_path, sound, row_set, ids):
    path = tmp_path / "cut.rows"
    for size in range(len(sound)):
        path.write_bytes(sound[:size])
        with pytest.raises(InvalidInputError, match=r"cut\.rows: it has"):
            MappedRowStore.open(path, row_set, TAG)


@by_id_type
def test_every_flipped_bit_is_found(tmp_path, sound, row_set, ids):
    """Without verify the header alone is checked; the rest must only not crash."""
    path = tmp_path / "flip.rows"
    header, rng = 128, np.random.default_rng(0)
    padding = range(header + int.from_bytes(sound[48:56], "little"), int.from_bytes(sound[56:64], "little"))
    for byte in range(len(sound)):
        damaged = bytearray(sound)
        damaged[byte] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        if byte in padding:
            continue
        with pytest.raises(REFUSED, match=r"flip\.rows"):
            MappedRowStore.open(path, row_set, TAG)
        if byte < header:
            with pytest.raises(REFUSED, match=r"flip\.rows"):
                MappedRowStore.open(path, row_set, TAG, verify=False)
            continue
        store = MappedRowStore.open(path, row_set, TAG, verify=False)
        with suppress(*REFUSED):
            assert store.decode(ids).found.shape == (5,)
        assert len(store.get(ids)) == 5
        with suppress(InvalidInputError):
            assert len(store.ids()) <= 16


@by_id_type
def test_damaged_row_is_named(tmp_path, sound, row_set, ids):
    path = tmp_path / "row.rows"
    at = sound.rindex(TAG)
    path.write_bytes(sound[: at + 8] + b"\x09" + sound[at + 9 :])
    with pytest.raises(InvalidInputError, match=r"row 4 \(id .*\): its version"):
        MappedRowStore.open(path, row_set, TAG, verify=False).decode(ids)


@by_id_type
def test_full_table_ends(tmp_path, sound, row_set, ids):
    """A table without an empty place, made so by damage, does not loop."""
    path = tmp_path / "full.rows"
    at = int.from_bytes(sound[56:64], "little")
    path.write_bytes(sound[:at] + b"\1" * (len(sound) - at))
    assert MappedRowStore.open(path, row_set, TAG, verify=False).get(ids) == [None] * 5
