"""Joins, groups, frequencies and differences between rows, and functions on rows."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyspark.sql.types import StringType

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature import StringIndex

COLUMNS = {
    "k": pa.array([1, 1, 2, 2, None, None], pa.int32()),
    "t": pa.array(["a", "b", "c", None, "a", "a"]),
    "v": pa.array([1.5, 2.5, None, 4.0, 5.0, 6.0]),
    "n": pa.array([10, 7, 5, None, 1, 2], pa.int16()),
}
RIGHT = {"v": pa.array([10.0, 20.0, 30.0]), "k": pa.array([1, 3, None], pa.int32()), "w": ["x", "y", "z"]}


def test_join(make, rows_of):
    table, other = make(COLUMNS).select("t", "v", "k"), make(RIGHT)
    inner = table.join(other, on="k", lsuffix="_l", rsuffix="_r")
    assert inner.columns == ["k", "t", "v_l", "v_r", "w"]
    assert rows_of(inner) == [(1, "a", 1.5, 10.0, "x"), (1, "b", 2.5, 10.0, "x")]
    left = table.join(other, ["k"], how="left", rsuffix="_right")
    assert left.columns == ["k", "t", "v", "v_right", "w"]
    assert left.size() == 6
    assert table.join(other, "k", how="outer", lsuffix="_l").size() == 8
    assert rows_of(table.join(other, "k", how="left_semi")) == [(1, "a", 1.5), (1, "b", 2.5)]
    assert table.join(other, "k", how="leftanti").size() == 4
    assert type(inner) is type(table)


def test_join_with_an_index(make, rows_of):
    index = StringIndex.from_dict({"a": 1, "b": 2}, "t")
    joined = make(COLUMNS).select("k", "t").join(index, on="t")
    assert rows_of(joined) == [("a", 1, 1), ("a", None, 1), ("a", None, 1), ("b", 1, 2)]


def test_group_by(make, rows_of):
    table = make(COLUMNS)
    counted = table.group_by("k")
    assert counted.columns == ["k", "count(t)", "count(v)", "count(n)"]
    assert rows_of(counted) == [(1, 2, 2, 2), (2, 1, 1, 1), (None, 2, 2, 2)]
    summed = table.group_by(["k", "t"], agg={"v": "sum", "n": "max"})
    assert summed.columns == ["k", "t", "sum(v)", "max(n)"]
    assert (None, "a", 11.0, 2) in rows_of(summed)
    assert rows_of(table.group_by("k", agg={"*": "count"})) == [(1, 2), (2, 2), (None, 2)]
    assert table.group_by("k", agg={"*": "count"}).columns == ["k", "count(1)"]
    several = table.select("k", "v").group_by("k", agg=["avg", "min"])
    assert several.columns == ["k", "avg(v)", "min(v)"]
    assert rows_of(several) == [(1, 2.0, 1.5), (2, 4.0, 4.0), (None, 5.5, 5.0)]
    mixed = table.group_by("k", agg={"v": ["sum", "count"], "t": "first"})
    assert mixed.columns == ["k", "sum(v)", "count(v)", "first(t)"]
    whole = table.group_by(agg={"v": "max", "*": "count"})
    assert rows_of(whole) == [(6.0, 6)]


def test_group_by_joined_to_the_rows(make, rows_of):
    joined = make(COLUMNS).select("t", "k", "v").group_by("k", agg={"v": "sum"}, join=True)
    assert joined.columns == ["k", "t", "v", "sum(v)"]
    assert (1, "a", 1.5, 4.0) in rows_of(joined)
    assert (None, "a", 5.0, None) in rows_of(joined)
    assert joined.size() == 6


def test_filter_by_frequency(make, rows_of):
    table = make(COLUMNS)
    assert rows_of(table.filter_by_frequency(["k"])) == [(1,), (2,), (None,)]
    pairs = table.filter_by_frequency(["t", "k"], min_freq=2)
    assert pairs.columns == ["t", "k"]
    assert rows_of(pairs) == [("a", None)]
    assert rows_of(table.filter_by_frequency("t", min_freq=3)) == [("a",)]
    kept = table.filter_by_frequency(["t", "k"], keep_rows=True)
    assert kept.columns == list(COLUMNS)
    assert rows_of(kept) == [(None, "a", 5.0, 1), (None, "a", 6.0, 2)]


def test_difference_lag(make, rows_of):
    table = make(
        {"u": [1, 1, 1, 2], "s": [3, 1, 2, 5], "x": pa.array([10, 4, None, 7], pa.int16()), "y": [1.0, 0.5, 4.0, 2.0]}
    )
    one = table.difference_lag("y", "s")
    assert one.dtypes == [
        ("u", "bigint"),
        ("s", "bigint"),
        ("x", "smallint"),
        ("y", "double"),
        ("s_diff_lag_y_1", "double"),
    ]
    assert rows_of(one.select("s", "s_diff_lag_y_1")) == [(1, None), (2, 3.5), (3, -3.0), (5, 1.0)]
    parts = table.difference_lag(["x", "y"], ["s"], shifts=[2, -1], partition_cols="u")
    names = ["s_diff_lag_x_2", "s_diff_lag_x_-1", "s_diff_lag_y_2", "s_diff_lag_y_-1"]
    assert parts.columns == ["u", "s", "x", "y", *names]
    assert dict(parts.dtypes)["s_diff_lag_x_2"] == "smallint"
    assert rows_of(parts.select("s", *names)) == [
        (1, None, None, None, -3.5),
        (2, None, None, None, 3.0),
        (3, 6, None, 0.5, None),
        (5, None, None, None, None),
    ]


@pytest.mark.parametrize(
    ("columns", "shifts", "out_cols", "names"),
    [
        ("x", 1, "o", ["o"]),
        (["x", "y"], 1, ["o", "p"], ["o", "p"]),
        ("x", [1, 2], ["o", "p"], ["o", "p"]),
        (["x", "y"], [1, 2], [["o", "p"], ["q", "r"]], ["o", "p", "q", "r"]),
    ],
)
def test_difference_lag_names(make, columns, shifts, out_cols, names):
    table = make({"s": [1, 2], "x": [1, 2], "y": [3, 4]})
    assert table.difference_lag(columns, "s", shifts, out_cols=out_cols).columns == ["s", "x", "y", *names]


def test_apply(make, rows_of):
    table = make(COLUMNS).select("k", "t", "n")
    longer = table.apply("t", "t", lambda text: None if text is None else text * 2)
    assert longer.columns == ["k", "t", "n"]
    assert sorted(longer.to_list("t"), key=repr) == ["aa", "aa", "aa", "bb", "cc", None]
    both = table.apply(["n", "t"], "joined", lambda values: "-".join(map(str, values)))
    assert both.columns == ["k", "t", "n", "joined"]
    assert sorted(both.to_list("joined")) == ["1-a", "10-a", "2-a", "5-c", "7-b", "None-None"]
    total = table.apply(["k", "n"], "total", lambda pair: sum(x or 0 for x in pair), dtype="int")
    assert sorted(total.to_list("total")) == [1, 2, 2, 7, 8, 11]
    assert dict(total.dtypes)["total"] == "int"


@pytest.mark.parametrize(
    ("dtype", "kind", "expected"),
    [
        ("int", "int", [7, None, None, None, None]),
        ("double", "double", [7.0, 1.5, None, None, None]),
        ("boolean", "boolean", [None, None, None, True, None]),
        (StringType(), "string", ["7", "1.5", "x", "true", None]),
    ],
)
def test_apply_makes_answers_of_another_type_null(make, dtype, kind, expected):
    answers = [7, 1.5, "x", True, None]
    table = make({"i": [0, 1, 2, 3, 4]}).apply("i", "o", lambda i: answers[i], dtype)
    assert table.dtypes[-1] == ("o", kind)
    assert [row.o for row in table.sort("i").collect()] == expected


def test_apply_on_whole_columns(make, rows_of):
    table = make(COLUMNS).select("k", "t", "n")
    upper = table.apply("t", "t", pc.utf8_upper, vectorized="arrow")
    assert upper.columns == ["k", "t", "n"]
    assert sorted(upper.to_list("t"), key=repr) == ["A", "A", "A", "B", "C", None]
    factor = 2  # what an inner function sees goes along
    product = table.apply(
        ["k", "n"], "o", lambda k, n: pc.multiply(pc.multiply(k, n), factor), "int", vectorized="arrow"
    )
    assert dict(product.dtypes)["o"] == "int"
    assert sorted(product.to_list("o"), key=repr) == sorted(
        [None if row.k is None or row.n is None else row.k * row.n * 2 for row in table.collect()], key=repr
    )
    pairs = table.apply("n", "o", lambda n: [[x, x] for x in n], "array<double>", vectorized="numpy")
    assert dict(pairs.dtypes)["o"] == "array<double>"


def test_apply_records_a_vectorised_function_that_tasks_can_import(make):
    table = make({"x": [0.0, 1.0, None]}).apply("x", "o", np.nan_to_num, "float", vectorized="numpy")
    assert [step.params for step in table.transforms] == [
        {"function": "numpy:nan_to_num", "numpy": True, "type": "float"}
    ]
    assert table.dtypes == [("x", "double"), ("o", "float")]
    assert sorted(table.to_list("o")) == [0.0, 0.0, 1.0]


def test_a_vectorised_function_must_answer_for_every_row(make):
    with pytest.raises(Exception, match="made 1 values of"):
        make({"x": [1.0, 2.0]}).apply("x", "o", lambda x: x[:1], "double", vectorized="numpy").coalesce(1).compute()
    with pytest.raises(InvalidInputError, match="vectorized is 'pandas'; use 'arrow' or 'numpy'"):
        make({"x": [1.0]}).apply("x", "o", len, vectorized="pandas")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.join(t), "on should be str or a list of str, but got None."),
        (lambda t: t.join([1], on="k"), "table should be a Table, but got list"),
        (lambda t: t.join(t, on="x"), r"\['x'\] do not exist in this Table"),
        (lambda t: t.join(t.drop("k"), on="k"), r"\['k'\] do not exist in the other Table"),
        (lambda t: t.join(t, on="k"), r"\['t', 'v', 'n'\] would be there twice; give lsuffix"),
        (lambda t: t.join(t, on=["k", "t", "v", "n"], how="sideways"), "join: .*"),
        (lambda t: t.group_by("x"), r"\['x'\] do not exist in this Table"),
        (lambda t: t.group_by(join=True), "columns can not be empty if join is True"),
        (lambda t: t.group_by("k", agg=3), "agg should be str, list of str, or dict"),
        (lambda t: t.group_by("k", agg={"v": 3}), "agg should be str, list of str, or dict"),
        (lambda t: t.group_by("k", agg={"x": "sum"}), r"\['x'\] do not exist"),
        (lambda t: t.group_by("k", agg="summit"), "no aggregate function 'summit'"),
        (lambda t: t.group_by("k", agg="when"), "no aggregate function 'when'"),
        (lambda t: t.group_by("k", agg="upper"), "group_by: "),
        (lambda t: t.join(t.select("k", "v"), "k", lsuffix="_t", rsuffix="_u").join(t, "k"), r"\['t', 'n'\] would be"),
        (lambda t: t.group_by("k", agg={"*": "sum"}), "agg of '\\*' should be count"),
        (lambda t: t.select("k").group_by("k"), "no column to aggregate"),
        (lambda t: t.filter_by_frequency("x"), r"\['x'\] do not exist"),
        (lambda t: t.filter_by_frequency([]), "columns is empty"),
        (lambda t: t.filter_by_frequency("k", "2"), "min_freq should be int, but got '2'"),
        (lambda t: t.difference_lag("t", "k"), "columns should be numeric but get t of type string"),
        (lambda t: t.difference_lag("v", "k", 1.5), "elements in shift should be integer but get 1.5"),
        (lambda t: t.difference_lag(["v", "n"], "k", out_cols="o"), "out_cols is o; give one name for each"),
        (lambda t: t.difference_lag("v", "k", out_cols="t"), "there is a column 't' already"),
        (lambda t: t.difference_lag("v", "k", out_cols=[[1]]), "each element in out_cols should be str"),
        (lambda t: t.apply("t", ["o"], len), "out_col must be a single column"),
        (lambda t: t.apply("t", "o", "len"), "func should be a function, but got str"),
        (lambda t: t.apply("x", "o", len), r"\['x'\] do not exist"),
        (lambda t: t.apply([], "o", len), "in_col is empty"),
        (lambda t: t.apply("t", "o", len, dtype="complex"), "apply to t as complex: "),
    ],
)
def test_wrong_arguments_are_named(make, call, message):
    with pytest.raises(InvalidInputError, match=message):
        call(make(COLUMNS))
