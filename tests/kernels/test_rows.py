"""Packed rows: known bytes, the slow reference, and what is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import rows as reference

from friesian_fast.errors import InvalidInputError, SchemaMismatchError
from friesian_fast.spec import Column, RowSet
from friesian_fast.store import PackedRows, RowBatch, RowCodec

TAG = bytes.fromhex("a1b2c3d4e5f60718")


def row_set_of(*columns: Column) -> RowSet:
    return RowSet(name="user", id_column="user_id", id_type="int64", columns=columns)


MIXED = row_set_of(
    Column(name="age", type="int32"),
    Column(name="seen", type="int64"),
    Column(name="tags", type="int32", kind="list", length=3),
    Column(name="vector", type="float32", kind="fixed", length=2),
    Column(name="times", type="int64", kind="list", length=2),
    Column(name="score", type="float64"),
)


def test_known_bytes():
    """Written out by hand from the table in decision 0001."""
    packed = RowCodec(MIXED, TAG).encode(
        {
            "age": pa.array([7], pa.int32()),
            "seen": pa.array([None], pa.int64()),
            "tags": pa.array([[1, 2, 3]], pa.list_(pa.int32())),
            "vector": np.array([[1.0, -2.0]], np.float32),
            "times": pa.array([[5]], pa.list_(pa.int64())),
            "score": np.array([0.5]),
        }
    )
    assert packed[0] == bytes.fromhex(
        "a1b2c3d4 e5f60718"  # tag
        " 03 2a2e51 50000000"  # version, checksum; 80 bytes
        " 3d000000"  # validity 111101, aligned to 4
        " 03000000 01000000 00000000"  # counts of tags and times, aligned to 8
        " 00000000 00000000 00000000 0000e03f"  # seen (null), score
        " 07000000 0000803f 000000c0"  # age, vector
        " 01000000 02000000 03000000"  # tags
        " 05000000 00000000"  # times, already aligned to 8
    )


def test_the_columns_are_arrays_of_their_own():
    """They stand in one piece of memory: writing to one changes no other, and each keeps it alive."""
    codec = RowCodec(row_set_of(Column(name="x", type="int32"), Column(name="y", type="float64")), TAG)
    rows = list(codec.encode({"x": np.arange(7, dtype=np.int32), "y": np.arange(7, dtype=np.float64)}))
    columns = codec.decode(rows).columns
    assert all(array.flags.writeable and array.ctypes.data % 64 == 0 for array in columns.values())
    kept = columns.pop("y")
    columns["x"][:] = -1
    del columns
    np.testing.assert_array_equal(kept, np.arange(7))
    assert codec.decode([]).columns["x"].shape == (0,)


def test_known_bytes_of_one_scalar():
    packed = RowCodec(row_set_of(Column(name="x", type="int32")), TAG).encode({"x": np.array([-1], np.int32)})
    assert list(packed) == [bytes.fromhex("a1b2c3d4e5f60718 03ec451e 20000000 01000000 00000000 ffffffff 00000000")]


VALUES = {
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float32": st.floats(width=32, allow_nan=False),
    "float64": st.floats(allow_nan=False),
}
ARROW = {"int32": pa.int32(), "int64": pa.int64(), "float32": pa.float32(), "float64": pa.float64()}


@st.composite
def tables(draw):
    """A row set and some rows of it."""
    columns = []
    for i in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["scalar", "fixed", "list"]))
        length = 1 if kind == "scalar" else draw(st.integers(1, 5))
        columns.append(Column(name=f"c{i}", type=draw(st.sampled_from(sorted(VALUES))), kind=kind, length=length))
    rows = []
    for _ in range(draw(st.integers(0, 4))):
        row = {}
        for column in columns:
            element = VALUES[column.type]
            least = column.length if column.kind == "fixed" else 0
            value = element if column.kind == "scalar" else st.lists(element, min_size=least, max_size=column.length)
            row[column.name] = draw(st.none() | value)
        rows.append(row)
    return row_set_of(*columns), rows


def arrow_type(column: Column, large: bool) -> pa.DataType:
    element = ARROW[column.type]
    if column.kind == "scalar":
        return element
    if column.kind == "fixed" and not large:
        return pa.list_(element, column.length)
    return pa.large_list(element) if large else pa.list_(element)


@settings(max_examples=150, deadline=None)
@given(tables(), st.integers(0, 3), st.booleans())
def test_matches_reference(table, sliced, large):
    """Arrow in, at any slice; the bytes and what is decoded are the reference's."""
    row_set, rows = table
    codec = RowCodec(row_set, TAG)
    arrays = {}
    for column in row_set.columns:
        values = [row[column.name] for row in rows]
        padding = values[:1] * sliced
        array = pa.array(padding + values, arrow_type(column, large))
        arrays[column.name] = array.slice(len(padding))
    packed = codec.encode(arrays)
    want = [reference.encode(row_set, TAG, row) for row in rows]
    assert list(packed) == want
    missing: list[bytes | None] = [None, *want, b""]
    for source, expected in ((packed, want), (missing, missing)):
        got = codec.decode(source)
        assert got.found.tolist() == [bool(row) for row in expected]
        decoded = [reference.decode(row_set, row) for row in expected]
        for column in row_set.columns:
            values = got.columns[column.name]
            shape = (len(expected),) if column.kind == "scalar" else (len(expected), column.length)
            assert values.shape == shape
            assert values.dtype == column.type
            expected_values = np.array([row[column.name] for row in decoded], column.type).reshape(shape)
            np.testing.assert_array_equal(values, expected_values)


def test_numpy_and_arrow_give_the_same_bytes():
    codec = RowCodec(MIXED, TAG)
    numbers = {
        "age": np.arange(4, dtype=np.int32),
        "seen": np.arange(4, dtype=np.int64),
        "tags": np.arange(12, dtype=np.int32).reshape(4, 3),
        "vector": np.arange(8, dtype=np.float32).reshape(4, 2),
        "times": np.arange(8, dtype=np.int64).reshape(4, 2),
        "score": np.arange(4, dtype=np.float64),
    }
    arrow = {name: pa.array(list(value)) if value.ndim == 2 else pa.array(value) for name, value in numbers.items()}
    chunked = {name: pa.chunked_array([array.slice(0, 1), array.slice(1)]) for name, array in arrow.items()}
    assert list(codec.encode(numbers)) == list(codec.encode(arrow)) == list(codec.encode(chunked))


def test_packed_rows_are_a_sequence():
    packed = RowCodec(row_set_of(Column(name="x", type="int32")), TAG).encode({"x": np.arange(3, dtype=np.int32)})
    assert len(packed) == 3
    assert packed[-1] == packed[2] == list(packed)[2]
    assert packed[1:] == [packed[1], packed[2]]
    with pytest.raises(IndexError, match="row 3 of 3"):
        packed[3]


ONE = row_set_of(Column(name="x", type="int32"), Column(name="l", type="int32", kind="list", length=2))
GOOD = {"x": np.zeros(2, np.int32), "l": np.zeros((2, 1), np.int32)}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": np.zeros(2, np.int64)}, InvalidInputError, "column 'x' has type int64, but the spec says int32"),
        ({"x": np.zeros(2, ">i4")}, InvalidInputError, "column 'x' has type >i4"),
        ({"x": pa.array([1.0, 2.0])}, InvalidInputError, "column 'x' has type Arrow 'g'"),
        ({"x": np.zeros(4, np.int32)[::2]}, InvalidInputError, "column 'x' must be 1-D and C-contiguous"),
        ({"x": np.zeros((2, 1), np.int32)}, InvalidInputError, "column 'x' must be 1-D"),
        ({"x": [1, 2]}, TypeError, "column 'x' must be a NumPy array or export __arrow_c_array__, got list"),
        ({"x": pa.array([10, 20], pa.int32()).dictionary_encode()}, InvalidInputError, "column 'x' is dictionary-enc"),
        (
            {"l": pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array([[1]], pa.list_(pa.int32())))},
            InvalidInputError,
            "column 'l' is dictionary-encoded",
        ),
        ({"x": pa.nulls(2)}, InvalidInputError, "column 'x' has type Arrow 'n', but the spec says int32"),
        ({"l": pa.array([[None], []])}, InvalidInputError, "column 'l' has type Arrow 'n'"),
        ({"l": np.zeros((2, 3), np.int32)}, InvalidInputError, "column 'l', row 0 has 3 elements.* at most 2"),
        ({"l": np.zeros((3, 1), np.int32)}, InvalidInputError, "column 'l' has 3 rows, but column 'x' has 2"),
        ({"l": pa.array([1, 2], pa.int32())}, InvalidInputError, "column 'l' of kind list needs an Arrow list"),
        ({"l": pa.array([[1], [None]], pa.list_(pa.int32()))}, InvalidInputError, "column 'l' has nulls inside"),
        ({"z": GOOD["x"]}, InvalidInputError, "row set 'user' does not have z; the columns are x, l"),
    ],
)
def test_encode_rejects(change, error, message):
    with pytest.raises(error, match=message):
        RowCodec(ONE, TAG).encode({**GOOD, **change})


def test_encode_rejects_missing_column():
    with pytest.raises(InvalidInputError, match="the input lacks l; the columns are x, l"):
        RowCodec(ONE, TAG).encode({"x": GOOD["x"]})


def test_encode_rejects_short_fixed():
    row_set = row_set_of(Column(name="v", type="float32", kind="fixed", length=2))
    with pytest.raises(InvalidInputError, match="column 'v', row 1 has 1 elements; the spec allows exactly 2"):
        RowCodec(row_set, TAG).encode({"v": pa.array([[1, 2], [3]], pa.list_(pa.float32()))})


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda row: b"\xff" + row[1:], SchemaMismatchError, "its tag is ffb2c3d4e5f60718, not a1b2c3d4e5f60718"),
        (lambda row: row[:8] + b"\1" + row[9:], InvalidInputError, "its version is 1, and this code reads 3: publish"),
        (lambda row: row[:8] + b"\2\0\0\0" + row[12:], InvalidInputError, "its version is 2, .*, and load Redis again"),
        (lambda row: row[:8] + b"\4\0\0\0" + row[12:], InvalidInputError, "its version is 4"),
        (lambda row: row[:9] + bytes(3) + row[12:], InvalidInputError, "checksum does not match; the value was alt"),
        (lambda row: row[:24] + b"\2" + row[25:], InvalidInputError, "its checksum does not match"),
        (lambda row: row[:-8], InvalidInputError, "header says 40 bytes, but it has 32"),
        (lambda row: row + bytes(8), InvalidInputError, "header says 40 bytes, but it has 48"),
        (lambda row: row[:15], InvalidInputError, "15 bytes, fewer than a row's header"),
        (lambda row: row[:12] + b"\x10" + row[13:16], InvalidInputError, "16 bytes, but its columns take at least 28"),
    ],
)
def test_decode_rejects(damage, error, message):
    codec = RowCodec(ONE, TAG)
    good = codec.encode({"x": np.ones(1, np.int32), "l": np.array([[9, 8]], np.int32)})[0]
    with pytest.raises(error, match=rf"^row 2 \(id c\): .*{message}"):
        codec.decode([good, None, damage(good)], ids=["a", "b", "c"])
    with pytest.raises(error, match=f"^row 0: .*{message}"):
        codec.decode([damage(good)])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda row: row[:20] + b"\3" + row[21:], "column 'l' has 3 elements, more than the 2"),
        (lambda row: row[:23] + b"\xff" + row[24:], "column 'l' has 4278190082 elements"),
        (lambda row: row[:20] + b"\0" + row[21:], "its columns take 32 bytes, but it has 40"),
        (lambda row: row[:12] + b"\x30" + row[13:] + bytes(8), "take 40 bytes, but it has 48"),
    ],
)
def test_decode_rejects_what_is_sealed(damage, message):
    """Another writer's mistakes: the checksum matches."""
    codec = RowCodec(ONE, TAG)
    good = codec.encode({"x": np.ones(1, np.int32), "l": np.array([[9, 8]], np.int32)})[0]
    with pytest.raises(InvalidInputError, match=f"^row 0: .*{message}"):
        codec.decode([reference.sealed(damage(good))])


def test_rows_of_a_batch_are_held_against_their_checksums():
    codec = RowCodec(ONE, TAG)
    packed = codec.encode(GOOD)
    rows = list(packed)
    batch = RowBatch([None, rows[0], rows[1][:24] + b"\1" + rows[1][25:]], [5, 6, 7])
    with pytest.raises(InvalidInputError, match=r"^row 2 \(id 7\): its checksum does not match"):
        codec.decode_batch(batch)
    packed.buffer[-1] ^= 1
    with pytest.raises(InvalidInputError, match="^row 1: its checksum does not match"):
        codec.decode(packed)


def test_decode_rejects_other_objects():
    codec = RowCodec(ONE, TAG)
    with pytest.raises(TypeError, match="row 1 must be bytes or None, got str"):
        codec.decode([None, "text"])
    with pytest.raises(InvalidInputError, match="offsets of packed rows"):
        codec.decode(PackedRows(np.zeros(8, np.uint8), np.array([0, 99])))


@pytest.mark.parametrize("tag", [b"", b"short", b"nine byte"])
def test_tag_has_eight_bytes(tag):
    with pytest.raises(InvalidInputError, match="a row tag has 8 bytes"):
        RowCodec(ONE, tag)


def test_null_that_is_not_zero_decodes_to_zero():
    codec = RowCodec(ONE, TAG)
    row = bytearray(codec.encode({"x": np.ones(1, np.int32), "l": np.array([[9, 8]], np.int32)})[0])
    row[16] = 0
    got = codec.decode([reference.sealed(bytes(row))])
    assert got.columns["x"].tolist() == [0]
    assert got.columns["l"].tolist() == [[0, 0]]
