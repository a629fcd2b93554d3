"""Ids to model inputs from a mapped store of 1M rows (10M with ``-m slow``) against a dict of bytes and a NumPy gather.

The store is read in 4 KB pages and as a copy in huge ones. The gather reads rows of one size over a mapped array and
needs its row numbers from a Python dict; the lists in it are already padded. It leaves records, which are copied out
column by column as in the decode bench.
"""

from __future__ import annotations

import numpy as np
import pytest
from bench.kernels.bench_row_decode import ROW_SET, TAG, columns_of, structured_dtype

from friesian_fast.store import MappedRowStore, RowCodec

SIZES = [1_000_000, pytest.param(10_000_000, marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=SIZES)
def stored(tmp_path_factory, request):
    """A store, its columns, its ids, and the same rows as one mapped record array."""
    folder, rows = tmp_path_factory.mktemp("store"), request.param
    columns = columns_of(rows)
    ids = np.random.default_rng(1).permutation(2**40 // 10**5 * np.arange(rows))
    path = folder / "item.rows"
    MappedRowStore.write(path, ROW_SET, TAG, ids, columns)
    packed = RowCodec(ROW_SET, TAG).encode(columns)
    packed.buffer.tofile(folder / "rows.bin")
    records = np.memmap(folder / "rows.bin", structured_dtype(len(packed[0])), mode="r")
    return path, columns, ids, records


@pytest.mark.parametrize("n", [300, 1000])
@pytest.mark.parametrize("method", ["mapped", "huge pages", "numpy"])
def test_row_store(benchmark, stored, n, method):
    path, columns, ids, records = stored
    rows = len(ids)
    rng = np.random.default_rng(2)
    batches = [rng.integers(0, rows, n) for _ in range(200)]  # so that no batch is still in the cache
    asked = [ids[batch] for batch in batches]
    turn = [-1]
    if method == "numpy":
        number_of = {int(value): i for i, value in enumerate(ids.tolist())}
    else:
        store = MappedRowStore.open(path, ROW_SET, TAG, huge_pages=method == "huge pages")

    def native():
        turn[0] = (turn[0] + 1) % len(asked)
        return store.decode(asked[turn[0]]).columns

    def numpy():
        turn[0] = (turn[0] + 1) % len(asked)
        found = records[[number_of[value] for value in asked[turn[0]].tolist()]]
        return {column.name: np.ascontiguousarray(found[column.name]) for column in ROW_SET.columns}

    benchmark.group = f"row_store n={n} of {rows}"
    got = benchmark(numpy if method == "numpy" else native)
    for name, values in columns.items():
        np.testing.assert_array_equal(got[name], values[batches[turn[0]]])
