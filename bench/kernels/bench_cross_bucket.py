"""cross_bucket against the Python expression on concatenated strings."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from random import Random

import pyarrow as pa
import pytest
from bench.conftest import best_seconds
from pytest_benchmark.fixture import BenchmarkFixture

from friesian_fast.hashing import cross_bucket

# One thread: CPU time leaves out what else runs on the machine.
pytestmark = pytest.mark.benchmark(timer=time.process_time)

ROWS = 1 << 17
BINS = 1_000_003


def strings(seed: int) -> list[str]:
    """4-20 bytes each, so that two joined are 8-40."""
    random = Random(seed)
    letters = "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=1 << 16))
    starts = [random.randrange(1 << 15) for _ in range(ROWS)]
    return [letters[start : start + random.randint(4, 20)] for start in starts]


def python_expression(columns: list[list[str]]) -> list[int]:
    return [int(hashlib.md5("".join(row).encode("utf-8")).hexdigest(), 16) % BINS for row in zip(*columns, strict=True)]


@pytest.fixture(scope="module", params=[2, 3])
def columns(request: pytest.FixtureRequest) -> list[list[str]]:
    return [strings(seed) for seed in range(request.param)]


@pytest.fixture(scope="module")
def peer_seconds(columns: list[list[str]]) -> float:
    return best_seconds(lambda: python_expression(columns))


def test_python_expression(benchmark: BenchmarkFixture, columns: list[list[str]]) -> None:
    benchmark.group = f"cross_bucket of {len(columns)} string columns, {ROWS} rows"
    benchmark(python_expression, columns)


def test_cross_bucket(
    benchmark: BenchmarkFixture,
    level: str,
    columns: list[list[str]],
    peer_seconds: float,
    report: Callable[..., None],
) -> None:
    arrays = [pa.array(column) for column in columns]
    assert cross_bucket(arrays, BINS, level=level).tolist() == python_expression(columns)
    benchmark.group = f"cross_bucket of {len(columns)} string columns, {ROWS} rows"
    benchmark(cross_bucket, arrays, BINS, level=level)
    report(benchmark, f"cross_bucket {level}, {len(columns)} columns", ROWS, peer_seconds)
