"""md5_bucket against the Python expression that feature code usually maps over a column."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from functools import partial
from random import Random

import pyarrow as pa
import pytest
from bench.conftest import best_seconds
from pytest_benchmark.fixture import BenchmarkFixture

from friesian_fast.hashing import md5_bucket

# One thread: CPU time leaves out what else runs on the machine.
pytestmark = pytest.mark.benchmark(timer=time.process_time)

SERVING, TRAINING = 256, 1 << 17  # one request's candidates; one task's slice of a column
BINS = 1_000_003


def strings(rows: int) -> list[str]:
    random = Random(0)
    letters = "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=1 << 16))
    starts = [random.randrange(1 << 15) for _ in range(rows)]
    return [letters[start : start + random.randint(8, 40)] for start in starts]


def python_expression(values: list[str]) -> list[int]:
    return [int(hashlib.md5(str(x).encode("utf-8")).hexdigest(), 16) % BINS for x in values]


@pytest.fixture(scope="module")
def peer_seconds() -> dict[int, float]:
    values = {rows: strings(rows) for rows in (SERVING, TRAINING)}
    return {rows: best_seconds(partial(python_expression, values[rows])) for rows in values}


@pytest.mark.parametrize("rows", [SERVING, TRAINING])
def test_python_expression(benchmark: BenchmarkFixture, rows: int) -> None:
    benchmark.group = f"md5_bucket, strings of 8-40 bytes, {rows} rows"
    benchmark(python_expression, strings(rows))


@pytest.mark.parametrize("rows", [SERVING, TRAINING])
def test_md5_bucket(
    benchmark: BenchmarkFixture, level: str, rows: int, peer_seconds: dict[int, float], report: Callable[..., None]
) -> None:
    values = strings(rows)
    column = pa.array(values)
    assert md5_bucket(column, BINS, level=level).tolist() == python_expression(values)
    benchmark.group = f"md5_bucket, strings of 8-40 bytes, {rows} rows"
    benchmark(md5_bucket, column, BINS, level=level)
    report(benchmark, f"md5_bucket {level}, {rows} rows", rows, peer_seconds[rows])
