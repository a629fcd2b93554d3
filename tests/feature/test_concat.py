"""Tables one after the other, under both partitionings."""

import pyarrow as pa
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops.types import type_of

A = {"x": pa.array([1, 2, None], pa.int32()), "t": ["a", None, "c"], "only_a": [0.5, 1.5, None]}
B = {"t": ["d", "a", None], "x": pa.array([4, 1, None], pa.int32()), "only_b": [[1], None, []]}


def test_inner_keeps_common_columns_in_the_order_of_the_first_given(make, rows_of):
    both = make(A).concat(make(B))
    assert both.dtypes == [("t", "string"), ("x", "int")]
    assert rows_of(both) == sorted(
        [("d", 4), ("a", 1), (None, None), ("a", 1), (None, 2), ("c", None)],
        key=repr,
    )


def test_outer_fills_with_typed_nulls(make, rows_of):
    both = make(A).concat([make(B)], mode="outer")
    assert both.dtypes == [("t", "string"), ("x", "int"), ("only_b", "array<bigint>"), ("only_a", "double")]
    rows = rows_of(both)
    assert ("d", 4, [1], None) in rows
    assert ("a", 1, None, 0.5) in rows
    assert len(rows) == 6


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.decimal128(6, 2),
        pa.date32(),
        pa.timestamp("us", "UTC"),
        pa.timestamp("us"),
        pa.list_(pa.field("element", pa.list_(pa.float32()))),
        pa.large_list(pa.field("item", pa.decimal128(3, 0), nullable=False)),
    ],
    ids=str,
)
def test_types_of_columns_that_a_table_lacks(kind):
    assert type_of(str(kind)) == kind
    assert pa.nulls(2, type_of(str(kind))).to_pylist() == [None, None]


def test_a_type_that_cannot_be_filled_in_is_named():
    with pytest.raises(InvalidInputError, match="a column of type struct<a: int64> cannot be filled in"):
        type_of("struct<a: int64>")


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        (pa.int32(), pa.int64(), "bigint"),
        (pa.int16(), pa.int32(), "int"),
        (pa.int64(), pa.float32(), "double"),
        (pa.int16(), pa.float32(), "float"),
        (pa.float32(), pa.float64(), "double"),
    ],
    ids=str,
)
def test_numbers_take_the_type_that_holds_those_of_all(make, rows_of, one, other, common):
    narrow, wide = make({"x": pa.array([1, None], one)}), make({"x": pa.array([2, None], other), "y": ["a", "b"]})
    assert narrow.concat(wide).dtypes == wide.concat(narrow).dtypes == [("x", common)]
    assert rows_of(narrow.concat(wide, mode="outer")) == sorted(
        [(1, None), (None, None), (2, "a"), (None, "b")], key=repr
    )


def test_lists_of_equal_types_go_together(make, tmp_path):
    table = make({"l": pa.array([[1], [1, 2]])}).mask("l", 3)
    table.write_parquet(tmp_path / "out")
    written = type(table).read_parquet(tmp_path / "out")
    assert table.concat(written).size() == written.concat(table).size() == 4


def test_distinct_and_several_tables(make, rows_of):
    table = make(A)
    twice = table.concat([make(B), make(A)], distinct=True)
    assert rows_of(twice) == sorted([("d", 4), ("a", 1), (None, None), (None, 2), ("c", None)], key=repr)
    assert twice.size() == 5
    assert twice.log("x").size() == 5


def test_recorded_operations_stay_with_their_table(make, rows_of):
    both = make(A).select("x").clip("x", max=1).concat(make(B).select("x").add("x", 10))
    assert rows_of(both) == sorted([(14,), (11,), (None,), (1,), (1,), (None,)], key=repr)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a, b: a.concat(b, mode="left"), "concat mode should be either outer or inner,but got left."),
        (lambda a, b: a.concat(b.cast("x", "string")), "column 'x' has type int32 in one table and string in another"),
    ],
)
def test_wrong_arguments_are_named(make, call, message):
    with pytest.raises(InvalidInputError, match=message):
        call(make(A), make(B))
