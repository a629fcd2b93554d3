"""Ten text columns hashed into buckets, Parquet to Parquet: the native stage beside Python UDFs on Spark's rows.

CPU seconds are of the JVM and the Python workers together, as a warm session spends them; the answers are compared.
``FRIESIAN_BENCH_ROWS`` makes it smaller.
"""

import hashlib
import os
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bench.baselines.categories import hash_encode
from bench.usage import Meter

from friesian_fast.feature import FeatureTable
from friesian_fast.feature.session import get_session

ROWS = int(os.environ.get("FRIESIAN_BENCH_ROWS", 1_000_000))
COLUMNS, BINS, FILES, TARGET = [f"c{i}" for i in range(10)], 1000, 4, 12
GROUP = f"md5 buckets of {len(COLUMNS)} text columns, {ROWS} rows"

measured = {}


@pytest.fixture(scope="module")
def session():
    # Our own settings suit a JVM that sees no rows; the UDFs' JVM does, so it gets its optimising compiler.
    return get_session("local[2]", options={"spark.driver.extraJavaOptions": "-Xshare:auto"})


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    directory = tmp_path_factory.mktemp("raw")
    rng = np.random.default_rng(0)
    for number in range(FILES):
        values = rng.integers(10**9, 10**10, (len(COLUMNS), ROWS // FILES))
        texts = {
            name: pa.array([f"user-{value}" for value in column]) for name, column in zip(COLUMNS, values, strict=True)
        }
        pq.write_table(pa.table(texts), directory / f"part-{number}.parquet")
    return directory


def bucket(text):
    return int(hashlib.md5(str(text).encode("utf-8")).hexdigest(), 16) % BINS


def by_rows(session, raw, output):
    hash_encode(session.read.parquet(str(raw)), COLUMNS, BINS).write.mode("overwrite").parquet(str(output))


def by_stage(session, raw, output):
    FeatureTable.read_parquet(raw).hash_encode(COLUMNS, BINS).write_parquet(output)


@pytest.mark.parametrize("way", [by_rows, by_stage], ids=["python-udfs", "native-stage"])
def test_hash_ten_columns(benchmark, session, raw, tmp_path, way):
    spent = []

    def once():
        before = meter.seconds()
        way(session, raw, tmp_path / "out")
        time.sleep(0.1)  # the workers' last moments
        spent.append(meter.seconds() - before)

    benchmark.group = GROUP
    with Meter() as meter:
        benchmark.pedantic(once, rounds=3, warmup_rounds=1)
    written = pq.read_table(tmp_path / "out").sort_by(COLUMNS[0])
    texts = pq.read_table(raw)
    expected = pa.table(
        {name: pa.array([bucket(text) for text in texts[name].to_pylist()], pa.int32()) for name in COLUMNS}
    )
    keys = [(name, "ascending") for name in COLUMNS]
    assert written.sort_by(keys).equals(expected.sort_by(keys))
    measured[way.__name__] = min(spent[1:])
    benchmark.extra_info["cpu_s"] = round(measured[way.__name__], 2)
    if len(measured) == 2:
        ratio = measured["by_rows"] / measured["by_stage"]
        benchmark.extra_info["ratio"] = round(ratio, 1)
        print(
            f"\nPython UDFs {measured['by_rows']:.2f} CPU s, native stage {measured['by_stage']:.2f}: "
            f"{ratio:.1f} times (target {TARGET})"
        )
