"""Packed rows to model inputs: one native call against NumPy over the same bytes.

The peer joins the rows and reads them through a structured dtype. That only works because the rows here are all of one
size, their lists full; it checks nothing and knows no missing row. Each column is copied out, as a model needs it.
Base64 of pickled dicts, as row stores of other systems keep, stands beside them.

Rows that were just received are in the cache: `hot`. `cold` draws rows anew for every call from a pool larger than the
private caches and the reach of the page tables' caches; joining alone then shows what fetching them costs.
"""

from __future__ import annotations

import base64
import itertools
import pickle
import time

import numpy as np
import pytest

from friesian_fast.spec import Column, RowSet
from friesian_fast.store import RowCodec

TAG = b"a tag..."
INTS, FLOATS, LENGTH = 10, 5, 20
POOL = 600_000
ROW_SET = RowSet(
    name="item",
    id_column="id",
    id_type="int64",
    columns=(
        *(Column(name=f"i{i}", type="int32") for i in range(INTS)),
        *(Column(name=f"f{i}", type="float32") for i in range(FLOATS)),
        Column(name="list", type="int32", kind="list", length=LENGTH),
    ),
)


def columns_of(n):
    rng = np.random.default_rng(0)
    columns = {c.name: rng.integers(0, 1000, n).astype(c.type) for c in ROW_SET.columns[:-1]}
    columns["list"] = rng.integers(1, 1000, (n, LENGTH)).astype(np.int32)
    return columns


def structured_dtype(row_bytes):
    """The same bytes as a NumPy record: header 16, validity 2, count at 20, then the numbers, then the list."""
    fields = {"count": ("<u4", 20)}
    for i, column in enumerate(ROW_SET.columns[:-1]):
        fields[column.name] = (np.dtype(column.type), 24 + 4 * i)
    fields["list"] = (np.dtype(("<i4", LENGTH)), 24 + 4 * (INTS + FLOATS))
    names = list(fields)
    return np.dtype(
        {
            "names": names,
            "formats": [fields[name][0] for name in names],
            "offsets": [fields[name][1] for name in names],
            "itemsize": row_bytes,
        }
    )


def with_numpy(rows, dtype):
    records = np.frombuffer(b"".join(rows), dtype)
    return {column.name: np.ascontiguousarray(records[column.name]) for column in ROW_SET.columns}


def with_pickle(rows):
    dicts = [pickle.loads(base64.b64decode(row)) for row in rows]  # noqa: S301 -- our own
    return {column.name: np.array([row[column.name] for row in dicts], column.type) for column in ROW_SET.columns}


def pickled(columns, n):
    return [
        base64.b64encode(pickle.dumps({name: values[i].tolist() for name, values in columns.items()})) for i in range(n)
    ]


@pytest.mark.parametrize("n", [300])
@pytest.mark.parametrize("method", ["native", "numpy", "pickle"])
def test_row_decode_hot(benchmark, n, method):
    codec = RowCodec(ROW_SET, TAG)
    columns = columns_of(n)
    rows = list(codec.encode(columns))
    dtype = structured_dtype(len(rows[0]))
    benchmark.group = f"row_decode, hot, n={n}"
    benchmark.extra_info.update(rows=n, bytes_in=sum(map(len, rows)))
    if method == "native":
        got = benchmark(codec.decode, rows).columns
    elif method == "numpy":
        got = benchmark(with_numpy, rows, dtype)
    else:
        got = benchmark(with_pickle, pickled(columns, n))
    for name, values in columns.items():
        np.testing.assert_array_equal(got[name], values)


@pytest.fixture(scope="module")
def pool():
    """Its columns, its rows, and an order to draw them in."""
    columns = columns_of(POOL)
    return columns, list(RowCodec(ROW_SET, TAG).encode(columns)), np.random.default_rng(1).permutation(POOL)


@pytest.mark.parametrize("n", [300, 1000])
def test_row_decode_cold(benchmark, pool, n, capsys):
    """The methods take turns, each on rows that no other has fetched."""
    columns, rows, order = pool
    codec, dtype = RowCodec(ROW_SET, TAG), structured_dtype(len(rows[0]))
    draws = [order[i : i + n] for i in range(0, POOL - n, n)]
    batches = [[rows[i] for i in draw] for draw in draws]  # made ahead: making them fetches the rows
    calls = {
        "native": lambda rows: codec.decode(rows).columns,
        "numpy": lambda rows: with_numpy(rows, dtype),
        "join alone": b"".join,
    }
    taken = {name: [] for name in calls}
    turns = list(zip(itertools.cycle(calls), batches[:-20], strict=False))
    for name, batch in turns:
        start = time.perf_counter()
        calls[name](batch)
        taken[name].append(time.perf_counter() - start)
    medians = {name: float(np.median(values)) for name, values in taken.items()}
    with capsys.disabled():
        for name, seconds in medians.items():
            ratio = medians["numpy"] / seconds
            print(f"\n  cold, {n} rows, {name}: {seconds * 1e6:.1f} us, {ratio:.2f}x numpy", end="")
    turn = iter(batches[-20:])
    benchmark.group = f"row_decode, cold, n={n}"
    got = benchmark.pedantic(calls["native"], setup=lambda: ((next(turn),), {}), rounds=20, warmup_rounds=0)
    for name, values in columns.items():
        np.testing.assert_array_equal(got[name], values[draws[-1]])
        np.testing.assert_array_equal(calls["numpy"](batches[-1])[name], values[draws[-1]])


@pytest.mark.parametrize("n", [1000])
def test_row_encode(benchmark, n):
    codec = RowCodec(ROW_SET, TAG)
    columns = columns_of(n)
    benchmark.group = f"row_encode n={n}"
    packed = benchmark(codec.encode, columns)
    np.testing.assert_array_equal(codec.decode(packed).columns["list"], columns["list"])
