"""One Spark session for all tests of the tables, and two ways to cut the same rows into partitions."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.fixture(scope="session")
def spark():
    from friesian_fast.feature.session import get_session

    return get_session("local[2]")


@pytest.fixture(params=["one-partition", "three-files"])
def make(spark, request, tmp_path):
    """Makes FeatureTables of columns: a DataFrame of one partition, or Parquet files that Spark reads as three."""
    from friesian_fast.feature import FeatureTable

    made = []

    def build(columns):
        rows = pa.table(columns)
        if request.param == "one-partition":
            return FeatureTable(spark.createDataFrame(rows).coalesce(1))
        directory = tmp_path / f"made-{len(made)}"
        directory.mkdir()
        made.append(directory)
        step = -(-rows.num_rows // 3) or 1
        for i in range(3):
            pq.write_table(rows.slice(i * step, step), directory / f"part-{i}.parquet", row_group_size=2)
        return FeatureTable.read_parquet(directory)

    return build


@pytest.fixture
def rows_of():
    """The rows of a table in an order of their own, as tuples: Spark promises none."""

    def rows(table):
        return sorted((tuple(row) for row in table.collect()), key=repr)

    return rows
