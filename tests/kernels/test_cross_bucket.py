from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import hashing as reference

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError
from friesian_fast.hashing import cross_bucket, md5_bucket

LENGTHS = [0, 1, 7, 8, 15, 16, 17, 27, 28, 31, 32, 33, 47, 55, 56, 63, 64, 65, 119, 120, 300]


def text_of_length(length: int, seed: int) -> str:
    return "".join(chr(33 + (seed * 31 + i * 7) % 90) for i in range(length))


def texts(rows: int, step: int) -> list[str]:
    return [text_of_length(LENGTHS[i * step % len(LENGTHS)], i * step) for i in range(rows)]


def test_known_buckets(level: str) -> None:
    """md5("abc") and md5("None"), by RFC 1321's vector and coreutils' md5sum."""
    columns = [pa.array(["a", "", "ab", None]), pa.array(["bc", "abc", "c", "x"])]
    abc, none = 0x900150983CD24FB0D6963F7D28E17F72, 0x6ADF97F83ACF6453D4A6A4B1070F3754
    assert cross_bucket(columns, 600, level=level).tolist() == [abc % 600] * 3 + [none % 600]


@pytest.mark.parametrize("separator", ["", "_", "漢", "a separator of more than thirty-two bytes " * 2])
@pytest.mark.parametrize("rows", [0, 1, 15, 16, 17, 64, 511, 512, 513, 1100])
def test_two_columns(level: str, rows: int, separator: str) -> None:
    columns = [texts(rows, 5), texts(rows, 8)]
    got = cross_bucket([pa.array(c, pa.string()) for c in columns], 2**31 - 1, separator=separator, level=level)
    assert got.dtype == np.int32
    assert got.tolist() == reference.cross_bucket(columns, 2**31 - 1, separator)


@pytest.mark.parametrize("count", [2, 3, 5, 9])
@pytest.mark.parametrize("longest", [4, 16, 33])
def test_more_columns(level: str, count: int, longest: int) -> None:
    columns = [[text_of_length((i * 3 + c) % longest, i + c) for i in range(100)] for c in range(count)]
    got = cross_bucket([pa.array(c) for c in columns], 997, separator="|", level=level)
    assert got.tolist() == reference.cross_bucket(columns, 997, "|")


def test_ambiguous_without_a_separator(level: str) -> None:
    columns = [pa.array(["a", "ab"]), pa.array(["bc", "c"])]
    joined = cross_bucket(columns, 2**31 - 1, level=level)
    apart = cross_bucket(columns, 2**31 - 1, separator="_", level=level)
    assert joined[0] == joined[1]
    assert apart[0] != apart[1]


def test_equals_md5_bucket_of_the_joined_column(level: str) -> None:
    left, right = texts(200, 5), texts(200, 11)
    joined = pa.array([a + b for a, b in zip(left, right, strict=True)])
    got = cross_bucket([pa.array(left), pa.array(right)], 600, level=level)
    np.testing.assert_array_equal(got, md5_bucket(joined, 600, level=level))


def test_mixed_types(level: str) -> None:
    columns: list[list[reference.Value]] = [
        ["en", "", "漢"] * 40,
        [1, -7, 2**62] * 40,
        [True, False, True] * 40,
        [0.5, 1e10, -0.0] * 40,
    ]
    got = cross_bucket([pa.array(c) for c in columns], 997, separator="-", level=level)
    assert got.tolist() == reference.cross_bucket(columns, 997, "-")


def test_numpy_beside_arrow(level: str) -> None:
    numbers, words = np.arange(100), [f"w{i % 7}" for i in range(100)]
    got = cross_bucket([numbers, pa.array(words), np.array(words)], 997, level=level)
    assert got.tolist() == reference.cross_bucket([numbers.tolist(), words, words], 997)


def test_nulls_and_slices(level: str) -> None:
    left = [None if i % 4 == 1 else f"l{i}" for i in range(150)]
    right = [None if i % 7 == 3 else i for i in range(150)]
    got = cross_bucket([pa.array(left).slice(5), pa.array(right).slice(5)], 997, separator="_", level=level)
    assert got.tolist() == reference.cross_bucket([left[5:], right[5:]], 997, "_")


def test_chunks_that_end_at_different_rows(level: str) -> None:
    left, right = texts(100, 5), texts(100, 8)
    columns = [
        pa.chunked_array([left[:10], [], left[10:77], left[77:]]),
        pa.chunked_array([right[:50], right[50:], []]),
        pa.array(left),
    ]
    got = cross_bucket(columns, 997, level=level)
    assert got.tolist() == reference.cross_bucket([left, right, left], 997)


# From the documentation of java.lang.Double, and Spark 4.3 on Java 25.
JAVA_DOUBLES = {
    "4.9E-324": 5e-324,
    "1.7976931348623157E308": 1.7976931348623157e308,
    "2.2250738585072014E-308": 2.2250738585072014e-308,
    "1.0E-5": 1e-5,
    "9.99E-4": 9.99e-4,
    "0.001": 1e-3,
    "9999999.0": 9999999.0,
    "1.0E7": 1e7,
    "1.2345678E7": 12345678.0,
    "2.0E23": 2e23,
    "9.9E-324": 1e-323,
    "123.456": 123.456,
    "-0.0": -0.0,
    "0.1": 0.1,
    "NaN": float("nan"),
    "-Infinity": float("-inf"),
}


def test_floats_as_java_writes_them(level: str) -> None:
    empty = pa.array([""] * len(JAVA_DOUBLES))
    got = cross_bucket([empty, np.array(list(JAVA_DOUBLES.values()))], 2**31 - 1, level=level)
    np.testing.assert_array_equal(got, md5_bucket(pa.array(list(JAVA_DOUBLES)), 2**31 - 1))


@given(st.lists(st.floats(width=64), max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_float(values: list[float]) -> None:
    empty = [""] * len(values)
    got = cross_bucket([pa.array(empty, pa.string()), np.array(values, np.float64)], 2**31 - 1)
    assert got.tolist() == reference.cross_bucket([empty, values], 2**31 - 1)


cells = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=70)


@given(st.lists(st.tuples(cells, cells, cells), max_size=40), st.integers(1, 2**31 - 1), st.sampled_from(["", "_"]))
@settings(max_examples=200, deadline=None)
def test_any_text(rows: list[tuple[str | None, ...]], bins: int, separator: str) -> None:
    columns = [[row[c] for row in rows] for c in range(3)]
    want = reference.cross_bucket(columns, bins, separator)
    arrays = [pa.array(c, pa.string()) for c in columns]
    for name in _core.runnable_simd_levels():
        assert cross_bucket(arrays, bins, separator=separator, level=name).tolist() == want


@pytest.mark.parametrize(
    ("columns", "bins", "error", "message"),
    [
        ([pa.array(["a"])], 10, InvalidInputError, "columns must hold at least two, got 1"),
        ([], 10, InvalidInputError, "columns must hold at least two, got 0"),
        (
            [pa.array(["a"]), pa.array(["a", "b"])],
            10,
            InvalidInputError,
            r"columns\[1\] has 2 rows, columns\[0\] has 1",
        ),
        ([pa.array(["a"]), ["a"]], 10, TypeError, r"columns\[1\] must be a NumPy array or an Arrow column"),
        ([pa.array(["a"]), pa.array([1.0], pa.float32())], 10, TypeError, r"columns\[1\] must hold strings.*cast"),
        ([pa.array(["a"]), pa.array(["a"])], 0, InvalidInputError, "bins must be in"),
    ],
)
def test_rejects(columns: list[object], bins: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        cross_bucket(columns, bins)
