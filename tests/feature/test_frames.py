"""Columns as attributes, rows on the driver, the cache."""

import pyarrow as pa
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature import FeatureTable, Table

COLUMNS = {
    "a": pa.array([3, None, 1, 2], pa.int32()),
    "name": pa.array(["x", "y", None, "x"]),
    "_c0": pa.array([0.5, 1.5, None, 2.5]),
    "tags": pa.array([[1], [], None, [2, 3]], pa.list_(pa.int64())),
}


def test_schema_and_dtypes_run_nothing(make):
    table = make(COLUMNS).log("a")
    assert table.dtypes == [("a", "double"), ("name", "string"), ("_c0", "double"), ("tags", "array<bigint>")]
    assert table.schema.simpleString() == "struct<a:double,name:string,_c0:double,tags:array<bigint>>"
    assert table._df is None


def test_columns_are_attributes(make):
    table = make(COLUMNS)
    assert table.select(table.a + 1).collect() is not None
    assert sorted(row[0] for row in table.filter(table.a > 1).select(table.a, table._c0).collect()) == [2, 3]
    assert table.filter(table.col("name") == "x").size() == 2
    assert table.rdd.getNumPartitions() == table.df.rdd.getNumPartitions()
    assert not hasattr(table, "nothing")
    with pytest.raises(AttributeError, match="no method and no column 'nothing'; its columns are a, name, _c0, tags"):
        _ = table.nothing


def test_rows_on_the_driver(make):
    table = make(COLUMNS)
    rows = [(row.a, row.name, row["_c0"], row.tags) for row in table.collect()]
    expected = list(zip(*(values.to_pylist() for values in COLUMNS.values()), strict=True))
    assert sorted(rows, key=repr) == sorted(expected, key=repr)
    assert [table.to_list(name) for name in table.columns] == [list(one) for one in zip(*rows, strict=True)]
    assert table.to_dict() == {name: [row[i] for row in rows] for i, name in enumerate(COLUMNS)}
    frame = table.to_pandas()
    assert list(frame.columns) == list(COLUMNS)
    assert sorted(frame["name"], key=repr) == sorted(COLUMNS["name"].to_pylist(), key=repr)


def test_to_list_of_distinct_rows_counts_rows_not_values(make):
    table = make({"a": [1, 1, 1], "b": [1, 2, 2]}).distinct()
    assert table.to_list("a") == [1, 1]


def test_show(make, capsys):
    table = make({"a": [1, 1], "b": ["a long text of more than twenty letters"] * 2})
    table.show(1)
    shown = capsys.readouterr().out
    assert "a long text of mo..." in shown
    assert "only showing top 1 row" in shown
    table.show(truncate=False)
    assert "twenty letters" in capsys.readouterr().out


def test_compute_runs_everything_and_returns_the_table(make):
    table = make(COLUMNS)
    assert table.compute() is table
    with pytest.raises(Exception, match="x has no number"):
        table.apply("name", "z", fail).compute()


def fail(value):
    raise ValueError(f"{value} has no number")


def test_broadcast_marks_in_place(make):
    table, other = make(COLUMNS).select("a"), make({"a": [1, 2], "b": [3, 4]})
    assert other.broadcast() is None
    joined = table.join(other, on="a")
    assert "BroadcastHashJoin" in joined.df._jdf.queryExecution().executedPlan().toString()
    assert sorted(map(tuple, joined.collect())) == [(1, 3), (2, 4)]


def test_cache_serves_later_steps(make, spark):
    table = make(COLUMNS).filter("a > 0").log("a")
    assert table.cache() is table
    assert table.df.is_cached
    later = table.clip("a", max=1)
    assert "InMemoryTableScan" in later.df._jdf.queryExecution().executedPlan().toString()
    assert sorted(table.to_list("a")) == pytest.approx([0.693147, 1.098612, 1.386294], abs=1e-5)
    assert table.uncache() is table
    assert not table.df.is_cached
    assert table.uncache() is table


def test_a_cached_table_of_files_keeps_its_native_stage(make):
    table = make(COLUMNS).clip("a", min=2)
    in_files = table._in_files()
    table.cache()
    assert table._in_files() == in_files
    assert table.df.is_cached
    assert sorted(table.to_list("a"), key=repr) == [2, 2, 3, None]
    table.uncache()


def test_a_table_of_a_frame_is_that_frame(spark):
    df = spark.range(3)
    assert FeatureTable(df).df is df
    assert FeatureTable(df).to_spark_df() is df


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.to_list(["a"]), "Column must have type str."),
        (lambda t: t.to_list("x"), r"\['x'\] do not exist in this Table"),
    ],
)
def test_wrong_arguments_are_named(make, call, message):
    with pytest.raises(InvalidInputError, match=message):
        call(make(COLUMNS))


def test_a_plain_table_has_what_needs_no_features(spark, tmp_path):
    table = Table(spark.createDataFrame([(1, 2.0), (3, None), (5, 4.0)], "a int, b double"))
    filled = table.fill_median("b").clip("a", max=4).rename({"a": "c"})
    assert type(filled) is Table
    assert filled.sort("c").to_dict() == {"c": [1, 3, 4], "b": [2.0, 2.0, 4.0]}
    assert filled.add("c", 1).min("c").to_dict()["min"] == [2.0]
    filled.write_csv(tmp_path / "csv")
    assert FeatureTable.read_csv(tmp_path / "csv", header=True).size() == 3
    assert not hasattr(Table, "hash_encode")
    assert isinstance(FeatureTable(filled.df), Table)


def test_casts_to_types_of_sparks(make):
    from pyspark.sql import types

    table = make({"a": ["1", "2", "x"], "b": [1, 2, 3]})
    assert dict(table.cast("a", types.LongType()).dtypes)["a"] == "bigint"
    assert table.cast("b", types.ShortType()).transforms[0].params == {"type": "int16"}
    decimals = table.cast("b", types.DecimalType(10, 2))
    assert decimals.columns == ["a", "b"]
    assert dict(decimals.dtypes)["b"] == "decimal(10,2)"
    for wrong in (["int"], types.LongType, "decimal", None):
        with pytest.raises(InvalidInputError, match="dtype should be string, boolean, int, long"):
            table.cast("a", wrong)


def test_numbers_that_a_spec_cannot_hold_are_named(make):
    table = make({"a": [1.0, None]})
    with pytest.raises(InvalidInputError, match="value is nan; it must be finite"):
        table.fillna(float("nan"), "a")
    with pytest.raises(InvalidInputError, match="column is inf; it must be finite"):
        table.append_column("b", float("inf"))
