"""Packed rows to model inputs: one native call against NumPy over the same bytes.

The peer joins the rows and reads them through a structured dtype. That only works because the rows here are all of one
size, their lists full; it checks nothing and knows no missing row. Each column is copied out, as a model needs it.
"""

from __future__ import annotations

import numpy as np
import pytest

from friesian_fast.spec import Column, RowSet
from friesian_fast.store import RowCodec

TAG = b"a tag..."
INTS, FLOATS, LENGTH = 10, 5, 20
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


@pytest.mark.parametrize("n", [300, 1000])
@pytest.mark.parametrize("method", ["native", "numpy"])
def test_row_decode(benchmark, n, method):
    codec = RowCodec(ROW_SET, TAG)
    columns = columns_of(n)
    rows = list(codec.encode(columns))
    dtype = structured_dtype(len(rows[0]))
    benchmark.group = f"row_decode n={n}"
    benchmark.extra_info.update(rows=n, bytes_in=sum(map(len, rows)))
    got = benchmark(codec.decode, rows).columns if method == "native" else benchmark(with_numpy, rows, dtype)
    for name, values in columns.items():
        np.testing.assert_array_equal(got[name], values)


@pytest.mark.parametrize("n", [1000])
def test_row_encode(benchmark, n):
    codec = RowCodec(ROW_SET, TAG)
    columns = columns_of(n)
    benchmark.group = f"row_encode n={n}"
    packed = benchmark(codec.encode, columns)
    np.testing.assert_array_equal(codec.decode(packed).columns["list"], columns["list"])
