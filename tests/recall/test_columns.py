"""Item columns: conditions against a row-by-row reference, the files, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference.filters import meets

from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.recall import ItemColumns, col
from friesian_fast.recall.columns import bitmap_of, bits_of, full_bitmap
from friesian_fast.recall.predicates import And, Between, Compare, IsIn, IsNull, Not, Or

TABLE = {
    "small": pa.array([1, 2, None, 4, -5], pa.int8()),
    "big": pa.array([2**62, None, -(2**62), 0, 7]),
    "price": pa.array([0.1, float("nan"), None, -2.5, 1e30], pa.float32()),
    "weight": pa.array([0.1, 1e300, None, -0.0, 3.0]),
    "new": pa.array([True, False, None, True, False]),
    "country": pa.array(["FR", "DE", None, "", "é"]),
}
ROWS = [
    {"small": 1, "big": 2**62, "price": np.float32(0.1), "weight": 0.1, "new": True, "country": "FR"},
    {"small": 2, "big": None, "price": None, "weight": 1e300, "new": False, "country": "DE"},
    {"small": None, "big": -(2**62), "price": None, "weight": None, "new": None, "country": None},
    {"small": 4, "big": 0, "price": np.float32(-2.5), "weight": -0.0, "new": True, "country": ""},
    {"small": -5, "big": 7, "price": np.float32(1e30), "weight": 3.0, "new": False, "country": "é"},
]


@pytest.fixture(scope="module")
def columns():
    return ItemColumns.from_arrow(TABLE)


@pytest.mark.parametrize(
    ("predicate", "rows"),
    [
        (col("small") < 2, [0, 4]),
        (col("small") < 2.5, [0, 1, 4]),
        (col("small") == 2.5, []),
        (col("small") != 2.5, [0, 1, 3, 4]),
        (col("small") > 10**30, []),
        (col("small") < 10**30, [0, 1, 3, 4]),
        (col("small") >= -(10**30), [0, 1, 3, 4]),
        (col("big") > 2**53, [0]),
        (col("big").isin([2**62, 7, 2**70]), [0, 4]),
        (col("price") == 0.1, [0]),
        (col("price") > 0.1, [4]),
        (col("price") <= 0.1, [0, 3]),
        (col("price") < 1e39, [0, 3, 4]),
        (col("weight") == 0, [3]),
        (col("weight").between(0, 3), [0, 3, 4]),
        (col("weight").between(3, 0), []),
        (col("new") == True, [0, 3]),  # noqa: E712
        (col("new") != True, [1, 4]),  # noqa: E712
        (col("country") == "XX", []),
        (col("country") != "XX", [0, 1, 3, 4]),
        (col("country") > "DE", [0, 4]),
        (col("country") >= "E", [0, 4]),
        (col("country") < "DE", [3]),
        (col("country").between("A", "F"), [1]),
        (col("country").isin(["é", "DE", "nowhere"]), [1, 4]),
        (col("country").isin([]), []),
        (~col("country").isin(["é", "DE"]), [0, 3]),
        (col("price").is_null(), [1, 2]),
        (~col("price").is_null(), [0, 3, 4]),
        (col("country").is_null() | (col("small") == 1), [0, 2]),
        (~((col("small") > 1) & (col("country") == "DE")), [0, 3, 4]),
        (And(()), [0, 1, 2, 3, 4]),
        (Or(()), []),
        (Not(Or(())), [0, 1, 2, 3, 4]),
    ],
)
def test_known_answers(columns, predicate, rows):
    assert np.flatnonzero(columns.matches(predicate)).tolist() == rows


_VALUES = {
    "small": st.one_of(st.integers(-6, 6), st.floats(-6, 6)),
    "big": st.integers(-(2**63), 2**63 - 1),
    "weight": st.floats(-4, 4),
    "country": st.sampled_from(["", "A", "DE", "E", "FR", "é", "z"]),
}


@st.composite
def leaf(draw):
    name = draw(st.sampled_from(sorted(_VALUES)))
    value = _VALUES[name]
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return Between(name, draw(value), draw(value))
    if kind == 1:
        return IsIn(name, tuple(draw(st.lists(value, max_size=4))))
    if kind == 2:
        return IsNull(name)
    return Compare(name, draw(st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"])), draw(value))


def combined(parts):
    lists = st.lists(parts, max_size=3).map(tuple)
    return st.one_of(lists.map(And), lists.map(Or), parts.map(Not))


@given(st.recursive(leaf(), combined, max_leaves=8))
def test_any_condition_is_three_valued(predicate):
    columns = ItemColumns.from_arrow(TABLE)
    assert columns.matches(predicate).tolist() == [meets(predicate, row) is True for row in ROWS]


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 200])
def test_bitmaps(n):
    flags = np.random.default_rng(n).random(n) < 0.5
    assert bits_of(bitmap_of(flags), n).tolist() == flags.tolist()
    assert len(bitmap_of(flags)) == -(-n // 64)
    assert full_bitmap(n).tolist() == bitmap_of(np.ones(n, bool)).tolist()


def test_dictionary_and_chunks():
    chunks = pa.chunked_array([["b", "a"], ["b", None]])
    columns = ItemColumns.from_arrow({"c": chunks, "d": pa.array(["x", "y", None, "x"]).dictionary_encode()})
    assert columns.matches(col("c") == "b").tolist() == [True, False, True, False]
    assert columns.matches(col("d") == "x").tolist() == [True, False, False, True]


def test_files(tmp_path, columns):
    columns.save(tmp_path / "columns")
    opened = ItemColumns.open(tmp_path / "columns")
    assert opened.names == columns.names == tuple(TABLE)
    for predicate in (col("price") <= 0.1, col("country") > "DE", col("small").is_null(), col("new") == False):  # noqa: E712
        assert opened.compile(predicate).tolist() == columns.compile(predicate).tolist()
    picked = opened.select(np.array([4, 0]))
    assert picked.matches(col("country") == "FR").tolist() == [False, True]
    assert picked.matches(col("price").is_null()).tolist() == [False, False]


def test_no_rows(tmp_path):
    ItemColumns.from_arrow({"c": pa.array([], pa.string()), "n": pa.array([], pa.int32())}).save(tmp_path / "c")
    columns = ItemColumns.open(tmp_path / "c")
    assert columns.matches((col("c") == "x") | ~(col("n") < 3)).tolist() == []


@pytest.mark.parametrize(
    ("predicate", "message"),
    [
        (col("colour") == "red", "the items have no column 'colour' to filter by; they have small, big, price"),
        (col("small") == "1", "column 'small' is int32 and cannot be compared with '1'"),
        (col("small") == True, "column 'small' is int32 and cannot be compared with True"),  # noqa: E712
        (col("country") < 3, "column 'country' is string and cannot be compared with 3"),
        (col("country").isin(["a", 3]), "column 'country' is string and cannot be compared with 3"),
        (col("new") == 1, "column 'new' is bool and cannot be compared with 1"),
        (col("new") > False, "column 'new' is bool and can only be compared with == and !="),
        (col("price").between(0, "x"), "column 'price' is float32 and cannot be compared with 'x'"),
        (col("weight") == 10**400, "which no float can hold"),
    ],
)
def test_compile_rejects(columns, predicate, message):
    with pytest.raises(InvalidInputError, match=message):
        columns.compile(predicate)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no columns"),
        ({"a": pa.array([1]), "b": pa.array([1, 2])}, r"must be of one length, got \[1, 2\]"),
        ({"a": [1, 2]}, "item column 'a' must be an Arrow array, got list"),
        ({"a": pa.array([[1]])}, "item column 'a' has Arrow type list"),
        ({"a": pa.array([2**63], pa.uint64())}, "item column 'a' does not fit int64"),
    ],
)
def test_from_arrow_rejects(given, message):
    with pytest.raises(InvalidInputError, match=message):
        ItemColumns.from_arrow(given)


def replaced(path, **changes):
    data = json.loads(path.read_text())
    data.update(changes)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "columns.json").write_text("{"), "cannot be read as JSON"),
        (lambda d: replaced(d / "columns.json", version=9), "not of format friesian-item-columns, version 1"),
        (lambda d: replaced(d / "columns.json", rows=-1), "lacks a usable 'rows' or 'columns'"),
        (lambda d: replaced(d / "columns.json", rows=6), r"0.npy is not a int32 array of shape \(6,\)"),
        (lambda d: replaced(d / "columns.json", columns=[{}]), "column 0 needs a 'name' and a 'type'"),
        (lambda d: replaced(d / "columns.json", columns=[{"name": "a", "type": "string"}]), "has no dictionary"),
        (
            lambda d: replaced(d / "columns.json", columns=[{"name": "a", "type": "string", "dictionary": ["b", "a"]}]),
            "dictionary of column 'a' does not rise",
        ),
        (
            lambda d: replaced(d / "columns.json", columns=[{"name": "a", "type": "string", "dictionary": ["b"]}]),
            r"0.npy has codes outside \[0, 1\)",
        ),
        (lambda d: (d / "1.npy").unlink(), "1.npy cannot be read as a NumPy array"),
        (lambda d: (d / "1.npy").write_bytes(b""), "1.npy cannot be read as a NumPy array"),
        (lambda d: (d / "1.npy").write_bytes((d / "1.npy").read_bytes()[:-1]), "1.npy cannot be read as a NumPy array"),
        (lambda d: np.save(d / "1.npy", np.zeros(5, np.int32)), "1.npy is not a int64 array"),
        (lambda d: np.save(d / "0.npy", np.array([{}] * 5, object)), "0.npy cannot be read as a NumPy array"),
        (lambda d: np.save(d / "0.valid.npy", np.zeros(2, np.uint64)), r"0.valid.npy is not a uint64 array of shape"),
    ],
)
def test_damaged_files(tmp_path, columns, damage, message):
    columns.save(tmp_path / "columns")
    damage(tmp_path / "columns")
    with pytest.raises(InvalidInputError, match=message):
        ItemColumns.open(tmp_path / "columns")


def test_missing_files(tmp_path):
    with pytest.raises(NotFoundError, match="there are no item columns at"):
        ItemColumns.open(tmp_path)


def test_bits_behind_the_last_row_in_a_file(tmp_path, columns):
    columns.save(tmp_path / "columns")
    np.save(tmp_path / "columns" / "0.valid.npy", np.array([2**64 - 1], np.uint64))
    opened = ItemColumns.open(tmp_path / "columns")
    assert int(opened.compile(~col("small").is_null())[0]) == 0b11111
