"""Conditions on one million rows as bitmaps: the core against pyarrow.compute on the same values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from bench.conftest import best_seconds

from friesian_fast import _core
from friesian_fast.recall.columns import bits_of

ROWS = 1_000_000
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["int32", "float32", "int64", "float64"])
def test_filter_range(benchmark, level, dtype, report):
    values = RNG.integers(0, 1000, ROWS).astype(dtype)
    column = pa.array(values)
    low, high = pa.scalar(100, column.type), pa.scalar(300, column.type)

    def peer():
        return pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high))

    benchmark.group = f"filter_range {dtype}"
    bits = benchmark(lambda: _core.filter_range(values, 100, 300, level=level))
    assert (bits_of(bits, ROWS) == peer().to_numpy(zero_copy_only=False)).all()
    report(benchmark, f"{dtype} {level}", ROWS, best_seconds(peer))


@pytest.mark.parametrize("wanted", [3, 300])
def test_filter_set(benchmark, level, wanted, report):
    """Codes of 1,000 categories."""
    values = RNG.integers(0, 1000, ROWS, np.int32)
    some = np.sort(RNG.permutation(1000)[:wanted]).astype(np.int32)
    column, options = pa.array(values), pa.array(some)
    benchmark.group = f"filter_set {wanted}"
    bits = benchmark(lambda: _core.filter_set(values, some, level=level))
    assert (bits_of(bits, ROWS) == pc.is_in(column, options).to_numpy(zero_copy_only=False)).all()
    report(benchmark, f"{wanted} of 1000 {level}", ROWS, best_seconds(lambda: pc.is_in(column, options)))
