"""Statistics, extremes and medians of columns."""

from decimal import Decimal

import pyarrow as pa
import pytest

from friesian_fast.errors import InvalidInputError

COLUMNS = {
    "i": pa.array([3, None, -4, 8, 2**31 - 1], pa.int32()),
    "l": pa.array([2**53 + 1, 5, None, 7, 1], pa.int64()),
    "d": pa.array([8.5, 9.75, 10.0, None, 0.25]),
    "f": pa.array([0.1, None, None, 2.5, -1.0], pa.float32()),
    "m": pa.array([Decimal("1.50"), None, Decimal("0.25"), None, None], pa.decimal128(6, 2)),
    "t": pa.array(["b", None, "a", "c", None]),
    "n": pa.array([None] * 5, pa.int32()),
}


def test_get_stats(make):
    table = make(COLUMNS)
    assert table.get_stats("d", "avg") == {"d": 7.125}
    assert table.get_stats(["i", "d"], ["min", "max", "count"]) == {"i": [-4, 2**31 - 1, 4], "d": [0.25, 10.0, 4]}
    assert table.get_stats(["i", "l"], {"l": "max", "i": ["sum", "avg"]}) == {
        "l": 2**53 + 1,
        "i": [2**31 + 6, (2**31 + 6) / 4],
    }
    assert table.get_stats("t", ["min", "count"]) == {"t": ["a", 3]}
    assert table.get_stats(None, ["count"]) == {"i": 4, "l": 4, "d": 4, "f": 3, "m": 2, "n": 0}
    assert table.get_stats("n", ["min", "sum", "avg"]) == {"n": [None, None, None]}
    assert table.get_stats("m", "sum") == {"m": Decimal("1.75")}
    assert table.select("t").get_stats(None, "max") == {}


def test_get_stats_of_many_columns_takes_no_more_jobs_than_of_one(make, spark):
    table, context = make(COLUMNS), spark.sparkContext
    jobs = []
    for columns, aggregates in ((["i"], "min"), (["i", "l", "d", "f"], ["min", "max", "avg", "sum"])):
        context.setJobGroup(f"stats of {columns}", "")
        table.get_stats(columns, aggregates)
        jobs.append(len(context.statusTracker().getJobIdsForGroup(f"stats of {columns}")))
    context.setJobGroup("", "")
    assert jobs[0] == jobs[1] > 0


def test_min_and_max(make):
    table = make(COLUMNS)
    smallest, largest = table.min(["d", "i", "n"]), table.max()
    assert smallest.dtypes == [("column", "string"), ("min", "double")]
    assert smallest.to_dict() == {"column": ["d", "i", "n"], "min": [0.25, -4.0, None]}
    assert largest.columns == ["column", "max"]
    assert dict(zip(largest.to_list("column"), largest.to_list("max"), strict=True)) == {
        "i": 2.0**31 - 1,
        "l": 2.0**53,
        "d": 10.0,
        "f": 2.5,
        "m": 1.5,
        "n": None,
    }
    whole = table.max(["l", "i"])
    assert whole.dtypes == [("column", "string"), ("max", "bigint")]
    assert whole.to_dict() == {"column": ["l", "i"], "max": [2**53 + 1, 2**31 - 1]}


def test_median(make):
    table = make(COLUMNS)
    medians = table.median(["i", "d", "f", "m"])
    assert medians.dtypes == [("column", "string"), ("median", "double")]
    assert medians.to_dict() == {"column": ["i", "d", "f", "m"], "median": [3.0, 8.5, pytest.approx(0.1), 0.25]}
    assert table.drop("n", "t").median().to_list("column") == ["i", "l", "d", "f", "m"]
    many = make({"x": pa.array([i * 7919 % 5000 for i in range(5000)])})
    assert many.median("x").to_list("median") == [2499.0]


def test_median_of_many_values_is_near(make, monkeypatch):
    monkeypatch.setattr("friesian_fast.feature.stats._EXACT_MEDIANS", 10)
    many = make({"x": pa.array([i * 7919 % 5000 for i in range(5000)])})
    assert abs(many.median("x").to_list("median")[0] - 2500) <= 10


def test_fill_median(make):
    table = make(COLUMNS).drop("n")
    filled = table.fill_median()
    assert filled.dtypes == table.dtypes
    rows = filled.to_dict()
    medians = {"i": 3, "l": 5, "d": 8.5, "f": pytest.approx(0.1), "m": Decimal("0.25")}
    for name, median in medians.items():
        values = COLUMNS[name].to_pylist()
        assert None not in rows[name]
        assert sum(value == median for value in rows[name]) == values.count(None) + 1
        assert {v for v in values if v is not None} == set(rows[name])
    assert rows["t"].count(None) == 2
    assert table.fill_median("d").to_list("i").count(None) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.get_stats("i", "mean"), "aggregate function must be one of min/max/avg/sum/count, but got mean."),
        (lambda t: t.get_stats(["i", "d"], {"i": "min"}), "aggregate function not defined for the column d."),
        (lambda t: t.get_stats("i", 3), "aggr must have type str or a list or dict."),
        (lambda t: t.get_stats("i", {"i": None}), "aggr must have type str or a list or dict."),
        (lambda t: t.get_stats("x", "min"), r"\['x'\] do not exist in this Table"),
        (lambda t: t.get_stats("t", "avg"), "t should be a numeric column, but it has type string"),
        (lambda t: t.min("t"), "t should be a numeric column"),
        (lambda t: t.max(3), "columns should be str or a list of str, but got 3."),
        (lambda t: t.median("t"), "t with data type StringType is not supported"),
        (lambda t: t.fill_median(["i", "t"]), "t with data type StringType is not supported"),
        (lambda t: t.median("n"), "column 'n' has no values"),
        (lambda t: t.fill_median(), "column 'n' has no values"),
        (lambda t: t.fill_median("x"), r"\['x'\] do not exist in this Table"),
    ],
)
def test_wrong_arguments_are_named(make, call, message):
    with pytest.raises(InvalidInputError, match=message):
        call(make(COLUMNS))
