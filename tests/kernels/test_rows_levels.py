"""Packed rows at every level: what the slow reference packs is decoded, and held against its checksum."""

from __future__ import annotations

import numpy as np
import pytest
from tests.reference import rows as reference

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError
from friesian_fast.spec import Column, RowSet

TAG = b"levels.."


def schema_of(row_set: RowSet, level: str) -> _core.RowSchema:
    return _core.RowSchema([(c.name, c.type, c.kind, c.length) for c in row_set.columns], TAG, level=level)


def row_set_of(*columns: Column) -> RowSet:
    return RowSet(name="item", id_column="id", id_type="int64", columns=columns)


def mixed(scalars: int) -> RowSet:
    """Scalars of 4 bytes with a fixed column in their midst, one of 8 bytes in front, and two lists."""
    numbers = [Column(name=f"s{i}", type=("int32", "float32")[i % 2]) for i in range(scalars)]
    numbers.insert(scalars // 2, Column(name="fixed", type="int32", kind="fixed", length=3))
    lists = [
        Column(name="l4", type="int32", kind="list", length=21),
        Column(name="l8", type="float64", kind="list", length=3),
    ]
    return row_set_of(Column(name="eight", type="int64"), *numbers, *lists)


def rows_of(row_set: RowSet, n: int) -> list[dict]:
    """Lists of every length in turn; every seventh value is null."""
    rng = np.random.default_rng(n)
    rows = []
    for i in range(n):
        row = {}
        for c, column in enumerate(row_set.columns):
            size = column.length if column.kind != "list" else (i + c) % (column.length + 1)
            values = rng.integers(-1000, 1000, size).tolist()
            row[column.name] = None if (i + c) % 7 == 6 else values[0] if column.kind == "scalar" else values
        rows.append(row)
    return rows


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 15, 16, 17, 24, 33])
@pytest.mark.parametrize("scalars", [1, 3, 4, 7, 8, 9, 15, 16, 17])
def test_decodes_what_the_reference_packs(level, scalars, n):
    row_set = mixed(scalars)
    packed = [reference.encode(row_set, TAG, row) for row in rows_of(row_set, n)]
    packed[n // 2 : n // 2] = [None]
    columns, found = schema_of(row_set, level).decode(packed)
    assert found.tolist() == [row is not None for row in packed]
    want = [reference.decode(row_set, row) for row in packed]
    for column in row_set.columns:
        np.testing.assert_array_equal(columns[column.name], np.array([row[column.name] for row in want], column.type))


@pytest.mark.parametrize("columns", [1, 8, 63, 64, 65, 130])
def test_a_null_among_many_columns(level, columns):
    """The validity fills one word, part of one, or several; each column is null once."""
    row_set = row_set_of(*(Column(name=f"s{i}", type="int32") for i in range(columns)))
    rows = [{f"s{i}": None if i == null else 7 for i in range(columns)} for null in range(columns)]
    packed = [bytearray(reference.encode(row_set, TAG, row)) for row in rows]
    end = 16 + -(-columns // 8)
    fixed = end + -end % 8
    for row in packed:
        row[fixed : fixed + 4 * columns] = (7).to_bytes(4, "little") * columns  # what is null is not zero
    columns_of, _ = schema_of(row_set, level).decode([reference.sealed(bytes(row)) for row in packed])
    for i in range(columns):
        assert columns_of[f"s{i}"].tolist() == [0 if null == i else 7 for null in range(columns)]


def test_checksums_of_every_length(level):
    """Rows of up to three stripes of 64 words, and those that end just before or behind one."""
    row_set = row_set_of(Column(name="list", type="int64", kind="list", length=140))
    schema = schema_of(row_set, level)
    rng = np.random.default_rng(0)
    for length in range(141):
        row = reference.encode(row_set, TAG, {"list": rng.integers(-(2**63), 2**63 - 1, length).tolist()})
        columns, _ = schema.decode([row])
        assert columns["list"].tolist() == [reference.decode(row_set, row)["list"]]
        for at in {9, 10, 11, len(row) - 1, 24 + int(rng.integers(max(8 * length, 1)))} & set(range(9, len(row))):
            if not (12 <= at < 24):
                with pytest.raises(InvalidInputError, match="checksum"):
                    schema.decode([row[:at] + bytes([row[at] ^ 1 << int(rng.integers(8))]) + row[at + 1 :]])


def test_the_first_of_several_faults_is_named(level):
    """Rows are checked sixteen at a time, but the one that stands first is the one the error names."""
    row_set = mixed(9)
    schema = schema_of(row_set, level)
    good = [reference.encode(row_set, TAG, row) for row in rows_of(row_set, 40)]
    for first in (0, 5, 15, 16, 31, 39):
        rows = list(good)
        rows[first] = rows[first][:-1] + bytes([rows[first][-1] ^ 1])
        rows[first + 1 :] = [row[:20] for row in rows[first + 1 :]]
        with pytest.raises(InvalidInputError, match=f"^row {first}: its checksum"):
            schema.decode(rows)
        rows[first] = rows[first][:20]
        with pytest.raises(InvalidInputError, match=f"^row {first}: its header says"):
            schema.decode(rows)
