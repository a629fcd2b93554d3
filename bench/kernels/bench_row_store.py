"""Ids to model inputs from a mapped store of 1M rows, against a dict of bytes and a NumPy gather over a mapped array.

The gather reads rows of one size and needs its row numbers from a Python dict; the lists in it are already padded. It
leaves records, which are copied out column by column as in the decode bench.
"""

from __future__ import annotations

import numpy as np
import pytest
from bench.kernels.bench_row_decode import ROW_SET, TAG, columns_of, structured_dtype

from friesian_fast.store import MappedRowStore, RowCodec

ROWS = 1_000_000


@pytest.fixture(scope="module")
def million(tmp_path_factory):
    """A store, its columns, its ids, and the same rows as one mapped record array."""
    folder = tmp_path_factory.mktemp("store")
    columns = columns_of(ROWS)
    ids = np.random.default_rng(1).permutation(2**40 // 10**5 * np.arange(ROWS))
    path = folder / "item.rows"
    MappedRowStore.write(path, ROW_SET, TAG, ids, columns)
    packed = RowCodec(ROW_SET, TAG).encode(columns)
    (folder / "rows.bin").write_bytes(packed.buffer.tobytes())
    records = np.memmap(folder / "rows.bin", structured_dtype(len(packed[0])), mode="r")
    return MappedRowStore.open(path, ROW_SET, TAG), columns, ids, records


@pytest.mark.parametrize("n", [300, 1000])
@pytest.mark.parametrize("method", ["native", "numpy"])
def test_row_store(benchmark, million, n, method):
    store, columns, ids, records = million
    rng = np.random.default_rng(2)
    batches = [rng.integers(0, ROWS, n) for _ in range(200)]  # so that no batch is still in the cache
    asked = [ids[batch] for batch in batches]
    turn = [-1]
    number_of = {int(value): i for i, value in enumerate(ids.tolist())} if method == "numpy" else {}

    def native():
        turn[0] = (turn[0] + 1) % len(asked)
        return store.decode(asked[turn[0]]).columns

    def numpy():
        turn[0] = (turn[0] + 1) % len(asked)
        rows = records[[number_of[value] for value in asked[turn[0]].tolist()]]
        return {column.name: np.ascontiguousarray(rows[column.name]) for column in ROW_SET.columns}

    benchmark.group = f"row_store n={n} of {ROWS}"
    got = benchmark(native if method == "native" else numpy)
    for name, values in columns.items():
        np.testing.assert_array_equal(got[name], values[batches[turn[0]]])
