"""Scaling by smallest and largest values: every numeric type, lists, nulls, given bounds, and what is refused."""

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature import FeatureTable
from friesian_fast.feature.ops import MinMaxScale, MinMaxScaleList, from_json, to_json

COLUMNS = {
    "id": [0, 1, 2, 3],
    "i": pa.array([2, None, 4, 10], pa.int32()),
    "s": pa.array([1, 2, 3, 5], pa.int16()),
    "f": pa.array([0.5, 1.0, math.nan, 2.5], pa.float32()),
    "d": [-1.0, 0.0, None, 3.0],
    "m": pa.array([Decimal("1.50"), Decimal("0.50"), None, Decimal("4.50")], pa.decimal128(6, 2)),
    "flat": [7, 7, 7, 7],
    "li": pa.array([[1, 10], [3, None], None, [5, 30]], pa.list_(pa.int32())),
    "ld": [[0.0, 2.0], [1.0, 2.0], [4.0, 2.0], [2.0, 2.0]],
    "t": ["a", "b", "c", "d"],
}


def by_id(table, name):
    return [value for _, value in sorted(zip(*table.select("id", name).to_dict().values(), strict=True))]


def test_scalars(make):
    names = ["i", "s", "f", "d", "m", "flat"]
    table, bounds = make(COLUMNS).min_max_scale(names)
    assert bounds == {
        "i": (2.0, 10.0),
        "s": (1.0, 5.0),
        "f": (0.5, 2.5),
        "d": (-1.0, 3.0),
        "m": (0.5, 4.5),
        "flat": (7.0, 7.0),
    }
    assert all(type(bound) is float for pair in bounds.values() for bound in pair)
    assert table.columns == list(COLUMNS)
    assert {kind for name, kind in table.dtypes if name in names} == {"float"}
    assert by_id(table, "i") == [0.0, None, 0.25, 1.0]
    assert by_id(table, "s") == [0.0, 0.25, 0.5, 1.0]
    assert by_id(table, "f") == [0.0, 0.25, pytest.approx(math.nan, nan_ok=True), 1.0]
    assert by_id(table, "m") == [0.25, 0.0, None, 1.0]
    assert by_id(table, "flat") == [0.5] * 4
    ranged, same = make(COLUMNS).min_max_scale(["d", "flat"], min=-1.0, max=3.0)
    assert same == {"d": (-1.0, 3.0), "flat": (7.0, 7.0)}
    assert by_id(ranged, "d") == [-1.0, 0.0, None, 3.0]
    assert by_id(ranged, "flat") == [1.0] * 4


def test_lists(make):
    table, bounds = make(COLUMNS).min_max_scale(["li", "i", "ld"])
    assert bounds == {"li": ([1.0, 10.0], [5.0, 30.0]), "i": (2.0, 10.0), "ld": ([0.0, 2.0], [4.0, 2.0])}
    assert table.columns == ["id", "i", "s", "f", "d", "m", "flat", "t", "li", "ld"]
    assert table.dtypes[-2:] == [("li", "array<double>"), ("ld", "array<double>")]
    assert by_id(table, "li") == [[0.0, 0.0], [0.5, None], None, [1.0, 1.0]]
    assert by_id(table, "ld") == [[0.0, 0.5], [0.25, 0.5], [1.0, 0.5], [0.5, 0.5]]


def test_transform(make):
    bounds = {"i": (0, 4), "d": (1.0, 1.0), "li": ([1, 10], [3, 10]), "elsewhere": (0, 1)}
    table = make(COLUMNS).transform_min_max_scale(["i", "s", "d", "li"], bounds)
    assert table.columns == list(COLUMNS)
    assert dict(table.dtypes) == {
        **dict(make(COLUMNS).dtypes),
        "i": "float",
        "d": "float",
        "li": "array<float>",
    }
    assert by_id(table, "i") == [0.5, None, 1.0, 2.5]
    assert by_id(table, "d") == [0.5, 0.5, None, 0.5]
    assert by_id(table, "li") == [[0.0, 0.5], [1.0, None], None, [2.0, 0.5]]
    ranged = make(COLUMNS).transform_min_max_scale("i", bounds, min=-1, max=1)
    assert by_id(ranged, "i") == [0.0, None, 1.0, 4.0]
    fitted, found = make(COLUMNS).min_max_scale(["s", "m"], max=2.0)
    again = make(COLUMNS).transform_min_max_scale(["s", "m"], found, max=2.0)
    assert [by_id(again, name) for name in ("s", "m")] == [by_id(fitted, name) for name in ("s", "m")]


@given(
    st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=40),
    st.floats(-10, 10),
    st.floats(0.1, 10),
    st.integers(0, 9),
)
def test_a_scaled_number_is_the_formulas(values, low, width, start):
    op = MinMaxScale("a", low, low + width, -1.0, 2.0)
    found = op.apply(pa.record_batch({"a": pa.array(values, pa.float64())}).slice(start))["a"].to_pylist()
    high = low + width
    expected = [None if x is None else float(np.float32((x - low) / (high - low) * 3.0 - 1.0)) for x in values[start:]]
    assert found == expected


def test_recorded_steps_go_through_json():
    op = MinMaxScaleList("a", (1.0, 2.0), (3.0, 2.0), -1.0, 1.0, "float64", True)
    assert from_json(to_json(op)) == op
    assert op.transform().params == op.params
    batch = pa.record_batch({"a": pa.array([[1, 1], None, [3, None]], pa.list_(pa.int8())), "b": pa.array([1, 2, 3])})
    scaled = op.apply(batch.slice(1))
    assert scaled.schema.names == ["b", "a"]
    assert scaled["a"].to_pylist() == [None, [1.0, None]]
    fixed = pa.record_batch({"a": pa.array([[1, 1], None, [3, 4]], pa.list_(pa.int8(), 2))})
    assert op.apply(fixed)["a"].to_pylist() == [[-1.0, 0.0], None, [1.0, 0.0]]
    with pytest.raises(InvalidInputError, match="column 'a' has a list of 1 elements where 2 are expected"):
        op.apply(pa.record_batch({"a": pa.array([[1]])}))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda t: t.min_max_scale("t"),
            "t should be a numeric column or one of numeric lists, but it has",
        ),
        (lambda t: t.min_max_scale("lt"), "lt should be a numeric column or one of numeric lists"),
        (lambda t: t.min_max_scale("x"), r"\['x'\] do not exist"),
        (lambda t: t.min_max_scale("none"), "column 'none' has no values"),
        (lambda t: t.min_max_scale("empty"), "column 'empty' has no values in its lists"),
        (lambda t: t.min_max_scale("place"), "column 'place' has no values at place 1 of its lists"),
        (lambda t: t.min_max_scale("inf"), "column 'inf' has infinite values; clip it first"),
        (lambda t: t.min_max_scale("ragged"), "column 'ragged' has a list of . elements where . are expected"),
        (lambda t: t.min_max_scale("i", 1, 0), "min and max should be finite numbers, min not above max"),
        (lambda t: t.min_max_scale("i", "0"), "min and max should be finite numbers"),
        (lambda t: t.min_max_scale("i", max=math.inf), "min and max should be finite numbers"),
        (lambda t: t.transform_min_max_scale("i", [1, 2]), "min_max_dict should be dict, but get list"),
        (lambda t: t.transform_min_max_scale("i", {"i": 3}), "min_max_dict of column 'i' should be two numbers"),
        (lambda t: t.transform_min_max_scale("i", {"i": (1, None)}), "should be two numbers, but it is \\(1, None\\)"),
        (lambda t: t.transform_min_max_scale("li", {"li": (1, 2)}), "should be two lists of numbers of one length"),
        (lambda t: t.transform_min_max_scale("li", {"li": ([1], [1, 2])}), "should be two lists of numbers"),
        (lambda t: t.transform_min_max_scale("t", {"t": (0, 1)}), "t should be a numeric column"),
    ],
)
def test_wrong_arguments_are_named(make, call, message):
    rows = {
        **COLUMNS,
        "lt": [["a"]] * 4,
        "none": pa.array([None] * 4, pa.float64()),
        "empty": pa.array([None, [], [], []], pa.list_(pa.int64())),
        "place": pa.array([[1, None]] * 4, pa.list_(pa.int64())),
        "inf": [1.0, math.inf, 0.0, 2.0],
        "ragged": [[1], [1, 2], [1], [2]],
    }
    with pytest.raises(InvalidInputError, match=message):
        call(make(rows))


def test_a_list_of_another_length_is_named_when_the_rows_are_computed(make, tmp_path):
    table = make(COLUMNS).transform_min_max_scale("li", {"li": ([0.0] * 3, [1.0] * 3)})
    with pytest.raises(Exception, match="column 'li' has a list of 2 elements where 3 are expected"):
        table.write_parquet(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_spark_vectors_are_named(spark):
    from pyspark.ml.linalg import Vectors

    table = FeatureTable(spark.createDataFrame([(Vectors.dense([1.0, 2.0]),)], ["v"]))
    with pytest.raises(InvalidInputError, match="column 'v' holds Spark ML vectors; make them arrays first"):
        table.min_max_scale("v")
