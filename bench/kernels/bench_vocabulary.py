"""Building a vocabulary and looking it up, against a Counter, sorted() and a dict, and against pyarrow."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from bench.conftest import best_seconds
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from friesian_fast.vocab import VocabularyBuilder, VocabularyIndex

# One thread: CPU time leaves out what else runs on the machine.
pytestmark = pytest.mark.benchmark(timer=time.process_time)

DISTINCT = {"200k distinct of 32 bytes": 200_000, "500 distinct of 32 bytes": 500}
ROWS = 200_000


def ours(column: pa.Array) -> NDArray[np.int32]:
    builder = VocabularyBuilder()
    builder.add(column)
    values, _ = builder.finish()
    return VocabularyIndex(values).lookup(column)


def python_dict(strings: list[str]) -> list[int]:
    ranked = sorted(Counter(strings).items(), key=lambda pair: (-pair[1], pair[0].encode()))
    ids = {value: i + 1 for i, (value, _) in enumerate(ranked)}
    return [ids[text] for text in strings]


def arrow_compute(column: pa.Array) -> pa.Array:
    counted = pc.value_counts(column).flatten()
    table = pa.table({"value": counted[0], "count": counted[1]})
    ranked = table.sort_by([("count", "descending"), ("value", "ascending")])
    return pc.index_in(column, ranked["value"].combine_chunks())


@pytest.fixture(scope="module", params=list(DISTINCT))
def case(request: pytest.FixtureRequest) -> tuple[str, list[str]]:
    distinct = DISTINCT[request.param]
    keys = np.random.default_rng(0).permutation(np.arange(ROWS) % distinct)
    return request.param, [f"{key * 2654435761 % 2**32:032x}" for key in keys.tolist()]


@pytest.fixture(scope="module")
def peer_seconds(case: tuple[str, list[str]]) -> float:
    return best_seconds(lambda: python_dict(case[1]), rounds=3)


def test_python_dict(benchmark: BenchmarkFixture, case: tuple[str, list[str]]) -> None:
    benchmark.group = f"vocabulary, {case[0]}"
    benchmark.pedantic(python_dict, (case[1],), rounds=3)


def test_arrow_compute(benchmark: BenchmarkFixture, case: tuple[str, list[str]]) -> None:
    benchmark.group = f"vocabulary, {case[0]}"
    benchmark.pedantic(arrow_compute, (pa.array(case[1]),), rounds=3)


def test_vocabulary(
    benchmark: BenchmarkFixture, case: tuple[str, list[str]], peer_seconds: float, report: Callable[..., None]
) -> None:
    name, strings = case
    column = pa.array(strings)
    assert ours(column).tolist() == python_dict(strings)
    benchmark.group = f"vocabulary, {name}"
    benchmark(ours, column)
    report(benchmark, f"vocabulary, {name}", ROWS, peer_seconds)
