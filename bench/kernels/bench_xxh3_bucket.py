"""xxh3_bucket against the xxhash package's function mapped over a column; the hash is the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pyarrow as pa
import pytest
import xxhash
from bench.conftest import best_seconds
from bench.kernels.bench_md5_bucket import BINS, SERVING, TRAINING, strings
from pytest_benchmark.fixture import BenchmarkFixture

from friesian_fast.hashing import xxh3_bucket

# One thread: CPU time leaves out what else runs on the machine.
pytestmark = pytest.mark.benchmark(timer=time.process_time)


def python_expression(values: list[str]) -> list[int]:
    return [xxhash.xxh3_64_intdigest(x.encode("utf-8")) % BINS for x in values]


@pytest.mark.parametrize("rows", [SERVING, TRAINING])
def test_xxh3_bucket(benchmark: BenchmarkFixture, rows: int, report: Callable[..., None]) -> None:
    values = strings(rows)
    column = pa.array(values)
    assert xxh3_bucket(column, BINS).tolist() == python_expression(values)
    benchmark.group = f"xxh3_bucket, strings of 8-40 bytes, {rows} rows"
    benchmark(xxh3_bucket, column, BINS)
    report(benchmark, f"xxh3_bucket, {rows} rows", rows, best_seconds(partial(python_expression, values)))
