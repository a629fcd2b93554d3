"""Ids to model inputs from a mapped store of 1M rows (10M with ``-m slow``) against a dict of bytes and a NumPy gather.

The store is read in 4 KB pages, as a copy in huge ones, and by the same ids over and over, whose rows are then in the
caches: what it takes beyond that is waiting for memory. The gather reads rows of one size over a mapped array and needs
its row numbers from a Python dict; the lists in it are already padded. It leaves records, which are copied out column
by column as in the decode bench.

Redis holds 1M of the rows, packed, one value each, in a server of its own: our store on it, which decodes what MGET
gives, beside the MGET alone. They take turns, so that both meet the same disturbances.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
import redis
from bench.kernels.bench_row_decode import ROW_SET, TAG, columns_of, structured_dtype
from tests.services.processes import RedisProcess

from friesian_fast.store import MappedRowStore, RowCodec
from friesian_fast.store.redis import RedisRowStore, RedisServer

IN_REDIS, PER_MSET = 1_000_000, 5_000
ROUNDS = 500
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
@pytest.mark.parametrize("method", ["mapped", "huge pages", "in the caches", "numpy"])
def test_row_store(benchmark, stored, n, method):
    path, columns, ids, records = stored
    rows = len(ids)
    rng = np.random.default_rng(2)
    several = 1 if method == "in the caches" else 200  # so that no batch is still in the cache
    batches = [rng.integers(0, rows, n) for _ in range(several)]
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
    call = numpy if method == "numpy" else native
    for _ in batches:  # the pages of a mapped file are found once, not by every request
        call()
    got = benchmark.pedantic(call, rounds=1000)
    for name, values in columns.items():
        np.testing.assert_array_equal(got[name], values[batches[turn[0]]])


@pytest.fixture(scope="module")
def in_redis(tmp_path_factory):
    """A server with packed rows, and what they hold; ids are 0, 1, 2..."""
    process = RedisProcess(tmp_path_factory.mktemp("redis"))
    client = redis.Redis(port=process.port)
    columns = columns_of(IN_REDIS)
    packed = RowCodec(ROW_SET, TAG).encode(columns)
    for start in range(0, IN_REDIS, PER_MSET):
        client.mset({f"item:{start + i}": row for i, row in enumerate(packed[start : start + PER_MSET])})
    client.set("item", ",".join(column.name for column in ROW_SET.columns))
    client.close()
    yield process, columns
    process.stop()


@pytest.mark.parametrize("n", [300])
def test_redis_store(benchmark, in_redis, tmp_path, capsys, n):
    process, columns = in_redis
    server = RedisServer(url=process.address)
    client = server.connect()
    store = RedisRowStore(client, server, ROW_SET, TAG, "")
    path = tmp_path / "item.rows"
    MappedRowStore.write(path, ROW_SET, TAG, np.arange(IN_REDIS), columns)
    mapped = MappedRowStore.open(path, ROW_SET, TAG)
    for ids in np.arange(IN_REDIS).reshape(-1, 1000):  # its pages are found once, not by every request
        mapped.decode(ids)
    asked = np.random.default_rng(3).integers(0, IN_REDIS, (ROUNDS, 3, n))  # no two calls find the same rows fetched
    calls = {
        "MGET": lambda ids: client.mget([f"item:{value}" for value in ids.tolist()]),
        "MGET and decode": lambda ids: store.decode(ids).columns,
        "mapped": lambda ids: mapped.decode(ids).columns,
    }
    wall = {name: [] for name in calls}
    cpu = {name: [] for name in calls}
    for draws in asked:
        for (name, call), ids in zip(calls.items(), draws, strict=True):
            start, start_cpu = time.perf_counter(), time.process_time()
            call(ids)
            wall[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - start_cpu)
    for call in (calls["MGET and decode"], calls["mapped"]):
        for name, values in call(asked[0, 0]).items():
            np.testing.assert_array_equal(values, columns[name][asked[0, 0]])
    alone = np.median(wall["MGET"])
    with capsys.disabled():
        for name in calls:
            took, spent = np.median(wall[name]), np.median(cpu[name])
            print(f"\n  {name}: {took * 1e6:.0f} us, {spent * 1e6:.0f} of CPU; {took / alone:.3f} of MGET", end="")
    benchmark.group = f"row_store n={n}, Redis"
    benchmark.pedantic(calls["MGET and decode"], (asked[0, 0],), rounds=20)
