"""Parquet to NumPy and back, and the name of every fault."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.train.table import read_columns, write_columns


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table"
    path.mkdir()
    for part in range(2):
        content = {"id": pa.array([part, 7], pa.int64()), "x": pa.array([0.5, 1.5]), "name": pa.array(["a", "b"])}
        pq.write_table(pa.table(content), path / f"part-{part:05d}.parquet")
    (path / "_SUCCESS").touch()
    return path


def test_reads_the_parts_in_order_with_the_wanted_types(table):
    columns = read_columns(table, {"x": "float32", "id": "int32", "name": None})
    assert list(columns) == ["x", "id", "name"]
    assert columns["id"].dtype == np.int32
    assert columns["id"].tolist() == [0, 7, 1, 7]
    assert columns["x"].dtype == np.float32
    assert columns["name"].tolist() == ["a", "b", "a", "b"]


def test_round_trip_with_vectors(tmp_path):
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_columns(tmp_path / "out", {"id": np.array([3, 1], dtype=np.int32), "prediction": vectors})
    written = pq.read_table(tmp_path / "out")
    assert written.schema.field("prediction").type == pa.list_(pa.float32(), 3)
    assert written["prediction"].to_pylist() == vectors.tolist()
    assert written["id"].to_pylist() == [3, 1]


def test_writing_replaces_what_was_there(tmp_path):
    for value in (1, 2):
        write_columns(tmp_path / "out", {"id": np.array([value], dtype=np.int32)})
    assert read_columns(tmp_path / "out", {"id": "int32"})["id"].tolist() == [2]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"missing": "int32"}, "no column 'missing'; it has id, x, name"),
        ({"name": "int32"}, "'name' does not fit int32"),
        ({"x": "int32"}, "'x' does not fit int32"),
    ],
)
def test_a_column_that_does_not_fit_is_named(table, columns, message):
    with pytest.raises(InvalidInputError, match=message):
        read_columns(table, columns)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"id": pa.array([1, None])}, "column 'id' holds 1 nulls"),
        ({"id": pa.array([2**40])}, "'id' does not fit int32"),
        ({"id": pa.array([], pa.int32())}, "is empty"),
    ],
)
def test_contents_that_do_not_fit_are_named(tmp_path, content, message):
    pq.write_table(pa.table(content), tmp_path / "t.parquet")
    with pytest.raises(InvalidInputError, match=message):
        read_columns(tmp_path / "t.parquet", {"id": "int32"})


def test_places_without_a_table_are_named(tmp_path):
    with pytest.raises(NotFoundError, match="there is no table at .*nowhere"):
        read_columns(tmp_path / "nowhere", {"id": "int32"})
    with pytest.raises(InvalidInputError, match="holds no .parquet files"):
        read_columns(tmp_path, {"id": "int32"})
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InvalidInputError, match="not readable Parquet"):
        read_columns(tmp_path / "broken.parquet", {"id": "int32"})
