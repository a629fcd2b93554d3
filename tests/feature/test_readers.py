"""CSV, JSON, text and pandas in, CSV out."""

import json

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql.datasource import DataSource, DataSourceReader

from friesian_fast.errors import InvalidInputError, NotFoundError, NotSupportedError
from friesian_fast.feature import FeatureTable

CSV = "id,price,note\n007,1.0,x\n8,2.75,\n9,,yes\n"


@pytest.fixture
def csv(spark, tmp_path):
    (tmp_path / "in.csv").write_text(CSV)
    return tmp_path / "in.csv"


def rows(table):
    return [tuple(row) for row in table.collect()]


def test_csv_types_are_found(csv):
    table = FeatureTable.read_csv(str(csv), header=True)
    assert table.dtypes == [("id", "int"), ("price", "double"), ("note", "string")]
    assert rows(table) == [(7, 1.0, "x"), (8, 2.75, None), (9, None, "yes")]
    assert isinstance(table, FeatureTable)


def test_csv_without_header(csv):
    table = FeatureTable.read_csv([csv, csv])
    assert table.columns == ["_c0", "_c1", "_c2"]
    assert table.size() == 8
    assert sorted(table.filter(table._c0 == "id").to_list("_c2")) == ["note", "note"]


def test_csv_names(csv, tmp_path):
    assert FeatureTable.read_csv(csv, header=True, names=["a", "b", "c"]).columns == ["a", "b", "c"]
    (tmp_path / "one.csv").write_text("1|2\n3|4\n")
    table = FeatureTable.read_csv(tmp_path / "one.csv", delimiter="|", names=["x", "y"])
    assert table.to_dict() == {"x": [1, 3], "y": [2, 4]}
    assert FeatureTable.read_csv(tmp_path / "one.csv", names="x").to_list("x") == ["1|2", "3|4"]


@pytest.mark.parametrize(
    ("dtype", "kinds", "first"),
    [
        ("str", ["string"] * 3, ("007", "1.0", "x")),
        (["long", "int", "string"], ["bigint", "int", "string"], (7, 1, "x")),
        ({"price": "float"}, ["int", "float", "string"], (7, 1.0, "x")),
        ({"id": "string"}, ["string", "double", "string"], ("007", 1.0, "x")),
        ({"note": "int"}, ["int", "double", "int"], (7, 1.0, None)),
    ],
)
def test_csv_dtypes(csv, tmp_path, dtype, kinds, first):
    table = FeatureTable.read_csv(csv, header=True, dtype=dtype)
    assert [kind for _, kind in table.dtypes] == kinds
    assert rows(table)[0] == first
    table.write_parquet(tmp_path / "out")
    assert rows(FeatureTable.read_parquet(tmp_path / "out")) == rows(table)


def test_json(spark, tmp_path):
    records = [{"b": 1, "a": "x", "l": [1, 2]}, {"b": 2, "l": None}]
    (tmp_path / "in.json").write_text("\n".join(map(json.dumps, records)))
    table = FeatureTable.read_json(tmp_path / "in.json")
    assert table.dtypes == [("a", "string"), ("b", "bigint"), ("l", "array<bigint>")]
    assert rows(table) == [("x", 1, [1, 2]), (None, 2, None)]
    assert FeatureTable.read_json([str(tmp_path / "in.json")] * 2, cols=["l", "b"]).columns == ["l", "b"]
    assert FeatureTable.read_json(tmp_path / "in.json", cols="b").to_dict() == {"b": [1, 2]}
    with pytest.raises(InvalidInputError, match=r"\['x'\] do not exist in this Table"):
        FeatureTable.read_json(tmp_path / "in.json", cols=["x"])


def test_text(csv):
    assert FeatureTable.read_text(csv).to_dict() == {"value": CSV.splitlines()}
    assert FeatureTable.read_text(str(csv), col_name="line").columns == ["line"]
    with pytest.raises(InvalidInputError, match="col_name should be str, but got 3"):
        FeatureTable.read_text(csv, col_name=3)


def test_pandas(spark):
    frame = pd.DataFrame({"i": [1, 2], "f": [0.5, float("nan")], "t": ["x", None], "l": [[1], [2, 3]]}, index=[7, 8])
    table = FeatureTable.from_pandas(frame)
    assert table.dtypes == [("i", "bigint"), ("f", "double"), ("t", "string"), ("l", "array<bigint>")]
    assert rows(table) == [(1, 0.5, "x", [1]), (2, None, None, [2, 3])]
    with pytest.raises(InvalidInputError, match="pandas_df should be a pandas DataFrame, but got dict"):
        FeatureTable.from_pandas({})


def test_write_csv(make, tmp_path):
    columns = {"a": pa.array([1, None, 3]), "t": ["x;y", 'say "z"', None]}
    table = make(columns)
    table.write_csv(tmp_path / "out", delimiter=";", num_partitions=1)
    again = FeatureTable.read_csv(tmp_path / "out", delimiter=";", header=True)
    assert sorted(rows(again), key=repr) == sorted(zip(columns["a"].to_pylist(), columns["t"], strict=True), key=repr)
    assert len(list((tmp_path / "out").glob("*.csv"))) == 1
    table.write_csv(str(tmp_path / "out"), header=False, num_partitions=5)
    assert FeatureTable.read_csv(tmp_path / "out", names=["a", "t"]).size() == 3
    table.write_csv(tmp_path / "out", header=False, mode="append")
    assert FeatureTable.read_csv(tmp_path / "out").size() == 6
    table.write_csv(tmp_path / "out", mode="ignore")
    with pytest.raises(InvalidInputError, match="out exists; remove it"):
        table.write_csv(tmp_path / "out", mode="error")
    assert FeatureTable.read_csv(tmp_path / "out").size() == 6
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["a"]}, "names should have the same length as the number of columns: 1 and 3"),
        ({"names": 3}, "names should be str or a list of str, but got 3."),
        ({"dtype": ["int"]}, "dtype should have the same length as the number of columns: 1 and 3"),
        ({"dtype": 3}, "dtype should be str or a list of str or dict, but got int."),
        ({"dtype": "complex"}, "dtype should be string, boolean, int, long, short, float, double."),
        ({"dtype": {"x": "int"}}, r"\['x'\] do not exist in this Table; it has _c0, _c1, _c2"),
    ],
)
def test_wrong_csv_arguments_are_named(csv, options, message):
    with pytest.raises(InvalidInputError, match=message):
        FeatureTable.read_csv(csv, **options)


@pytest.mark.parametrize("reader", ["read_csv", "read_json", "read_text"])
def test_missing_files_are_named(spark, tmp_path, reader):
    with pytest.raises(NotFoundError, match=f"{reader}: .*nowhere"):
        getattr(FeatureTable, reader)(tmp_path / "nowhere")
    with pytest.raises(InvalidInputError, match="no path was given"):
        getattr(FeatureTable, reader)([])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "replace"}, "mode is 'replace'; use overwrite, append, error or ignore"),
        ({"num_partitions": 0}, "num_partitions should be an int of at least 1, but got 0."),
    ],
)
def test_wrong_write_arguments_are_named(make, tmp_path, options, message):
    with pytest.raises(InvalidInputError, match=message):
        make({"a": [1]}).write_csv(tmp_path / "out", **options)


def test_what_csv_cannot_hold_leaves_nothing(make, tmp_path):
    with pytest.raises(InvalidInputError, match=r"write_csv: .*(?i:csv)"):
        make({"l": [[1], [2]]}).write_csv(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_schemes_go_to_spark(make, tmp_path):
    table = make({"a": [1, 2, 3]})
    table.write_parquet(f"file://{tmp_path}/native")
    assert FeatureTable.read_parquet(f"file://{tmp_path}/native")._in_files()
    raw = f"rawlocal://{tmp_path}"
    with pytest.raises(InvalidInputError, match="read_parquet: .*rawlocal"):
        FeatureTable.read_parquet([raw, tmp_path / "native"])


def test_appending(make, tmp_path):
    table = make({"a": [1, 2, 3]})
    for _ in range(2):
        table.write_parquet(tmp_path / "out", mode="append")
    assert sorted(FeatureTable.read_parquet(tmp_path / "out").to_list("a")) == [1, 1, 2, 2, 3, 3]
    with pytest.raises(InvalidInputError, match="mode is 'replace'; use overwrite, append, error or ignore"):
        table.write_parquet(tmp_path / "out", mode="replace")


class LakeReader(DataSourceReader):
    """Gives the path that it was asked for."""

    def __init__(self, path):
        self.path = path

    def read(self, partition):
        yield (self.path,)


@pytest.mark.parametrize("kind", ["iceberg", "delta"])
def test_readers_that_spark_may_have(spark, kind):
    read = getattr(FeatureTable, f"read_{kind}")
    with pytest.raises(
        NotSupportedError, match=f"read_{kind}: this Spark session has no reader for {kind}; start it with"
    ):
        read("some/table")
    with pytest.raises(InvalidInputError, match=f"read_{kind} takes a table's name or path, but got ''"):
        read("")

    class Lake(DataSource):
        @classmethod
        def name(cls):
            return kind

        def schema(self):
            return "path string"

        def reader(self, schema):
            return LakeReader(self.options["path"])

    spark.dataSource.register(Lake)
    assert read("some/table").to_dict() == {"path": ["some/table"]}
