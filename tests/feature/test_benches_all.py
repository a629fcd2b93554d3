"""The benches run and find their answers right, at a size where nothing can be timed."""

import pyarrow.parquet as pq
import pytest
from bench.e2e.bench_scale import check
from bench.e2e.feature_cases import CASES
from bench.e2e.feature_data import write_data
from bench.e2e.scale_data import write_rows
from bench.e2e.scale_run import run

ROWS = 4000


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bench")
    write_data(directory, ROWS)
    return directory


@pytest.mark.parametrize("case", [case for case in CASES], ids=lambda case: case.name)
def test_ours_and_the_baseline_agree(spark, data, tmp_path, case):
    out, copy = tmp_path / "ours", tmp_path / "theirs"
    case.ours(case.read(data)).write_parquet(out)
    frame = spark.read.parquet(str(data / case.data)).select(case.columns)
    case.theirs(frame).write.parquet(str(copy))
    case.check(pq.read_table(out), pq.read_table(copy), pq.read_table(data / case.data, columns=case.columns))


def test_scale(spark, tmp_path):
    write_rows(tmp_path / "raw", 3000)
    run(tmp_path / "raw", tmp_path / "made")
    check(tmp_path / "raw", tmp_path / "made", 3000)
