from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import hashing as reference

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError
from friesian_fast.hashing import md5_bucket

# Around the register widths, the padding's limits (55, 56, 119, 120) and the block's (63 to 65).
LENGTHS = [0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 54, 55, 56, 57, 63, 64, 65]
LONG_LENGTHS = [111, 112, 118, 119, 120, 121, 127, 128, 129, 183, 184, 1000, 4096]
BINS = [1, 2, 7, 600, 65536, 1_000_003, 99_999_989, 2**31 - 1]

# RFC 1321, appendix A.5.
RFC_1321 = {
    "": "d41d8cd98f00b204e9800998ecf8427e",
    "a": "0cc175b9c0f1b6a831c399e269772661",
    "abc": "900150983cd24fb0d6963f7d28e17f72",
    "message digest": "f96b697d7cb7938d525a2f31aaf161d0",
    "abcdefghijklmnopqrstuvwxyz": "c3fcd3d76192e4007dfb496cca67e13b",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789": "d174ab98d277d9f5a5611c2c9f419d9f",
    "1234567890" * 8: "57edf4a22be3c955ac49da2e2107b67a",
}


def text_of_length(length: int, seed: int) -> str:
    return "".join(chr(33 + (seed * 31 + i * 7) % 90) for i in range(length))


@pytest.mark.parametrize("bins", BINS)
def test_rfc_1321_vectors(level: str, bins: int) -> None:
    got = md5_bucket(pa.array(list(RFC_1321)), bins, level=level)
    assert got.tolist() == [int(digest, 16) % bins for digest in RFC_1321.values()]


def test_known_buckets(level: str) -> None:
    got = md5_bucket(pa.array(["en", "None", "", "é漢😀"]), 1000, level=level)
    assert got.dtype == np.int32
    assert got.tolist() == [503, 316, 366, 668]


@pytest.mark.parametrize("length", LENGTHS + LONG_LENGTHS)
def test_every_length(level: str, length: int) -> None:
    values = [text_of_length(length, seed) for seed in range(70)]
    assert md5_bucket(pa.array(values), 2**31 - 1, level=level).tolist() == reference.md5_bucket(values, 2**31 - 1)


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 47, 48, 63, 64, 65, 511, 512, 513, 1100])
def test_every_number_of_rows(level: str, rows: int) -> None:
    lengths = LENGTHS + LONG_LENGTHS[:4]
    values = [text_of_length(lengths[i * 7 % len(lengths)], i) for i in range(rows)]
    got = md5_bucket(pa.array(values, pa.string()), 1_000_003, level=level)
    assert got.tolist() == reference.md5_bucket(values, 1_000_003)


@pytest.mark.parametrize("bins", BINS)
def test_every_number_of_bins(level: str, bins: int) -> None:
    values = [f"item{i}" for i in range(3000)]
    assert md5_bucket(pa.array(values), bins, level=level).tolist() == reference.md5_bucket(values, bins)


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string()])
def test_slices_and_nulls(level: str, type_: pa.DataType) -> None:
    values = [None if i % 5 == 2 else text_of_length(i % 70, i) for i in range(200)]
    column = pa.array(values, type_)
    for begin, rows in [(0, 200), (1, 199), (3, 64), (8, 17), (13, 1), (199, 1), (200, 0)]:
        got = md5_bucket(column.slice(begin, rows), 997, level=level)
        assert got.tolist() == reference.md5_bucket(values[begin : begin + rows], 997)


def test_null_is_the_text_none(level: str) -> None:
    got = md5_bucket(pa.array([None, "None"]), 2**31 - 1, level=level)
    assert got[0] == got[1]


def test_all_null_and_all_empty(level: str) -> None:
    assert set(md5_bucket(pa.array([None] * 20, pa.string()), 1000, level=level)) == {316}
    assert set(md5_bucket(pa.array([""] * 20), 1000, level=level)) == {366}


@pytest.mark.parametrize(
    "type_", [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
)
def test_integers(level: str, type_: pa.DataType) -> None:
    limits = np.iinfo(type_.to_pandas_dtype())
    values = [0, 1, 9, 10, 99, 100, int(limits.min), int(limits.max), None, 42]
    assert md5_bucket(pa.array(values, type_), 997, level=level).tolist() == reference.md5_bucket(values, 997)
    numbers = [value for value in values if value is not None]
    got = md5_bucket(np.array(numbers, limits.dtype), 997, level=level)
    assert got.tolist() == reference.md5_bucket(numbers, 997)


def test_booleans(level: str) -> None:
    values = [True, False, None, True] * 9
    assert md5_bucket(pa.array(values).slice(3), 997, level=level).tolist() == reference.md5_bucket(values[3:], 997)
    assert md5_bucket(np.array([True, False]), 997, level=level).tolist() == reference.md5_bucket([True, False], 997)


FLOATS = [0.0, -0.0, 1.0, 0.1, 1e16, 1e15, 123456789012345680.0, 9999999999999998.0, 1e-4, 1e-5, 12e-5, 1.5e300, 5e-324]
FLOATS += [1.7976931348623157e308, 2.2250738585072014e-308, 1e22, 1e23, 2e-3, float("inf"), float("-inf"), float("nan")]


def test_floats(level: str) -> None:
    values = FLOATS + [-value for value in FLOATS]
    assert md5_bucket(np.array(values), 2**31 - 1, level=level).tolist() == reference.md5_bucket(values, 2**31 - 1)


@given(st.lists(st.floats(width=64), max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_float(values: list[float]) -> None:
    assert md5_bucket(np.array(values, np.float64), 2**31 - 1).tolist() == reference.md5_bucket(values, 2**31 - 1)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=90)


@given(st.lists(st.none() | texts, max_size=70), st.integers(1, 2**31 - 1))
@settings(max_examples=200, deadline=None)
def test_any_text(values: list[str | None], bins: int) -> None:
    want = reference.md5_bucket(values, bins)
    for name in _core.runnable_simd_levels():
        assert md5_bucket(pa.array(values, pa.string()), bins, level=name).tolist() == want


def test_numpy_text(level: str) -> None:
    values = ["", "a", "é漢😀", "x" * 80]
    assert md5_bucket(np.array(values), 997, level=level).tolist() == reference.md5_bucket(values, 997)
    encoded = np.array([value.encode() for value in values])
    assert md5_bucket(encoded, 997, level=level).tolist() == reference.md5_bucket(values, 997)


def test_chunked(level: str) -> None:
    values = [text_of_length(i % 60, i) for i in range(100)]
    chunked = pa.chunked_array([values[:30], [], values[30:31], values[31:]])
    assert md5_bucket(chunked, 997, level=level).tolist() == reference.md5_bucket(values, 997)
    assert md5_bucket(pa.chunked_array([], pa.string()), 997, level=level).size == 0


def test_releases_arrow_memory() -> None:
    before = pa.total_allocated_bytes()
    for _ in range(3):
        md5_bucket(pa.array(["x" * 1000] * 1000), 10)
        md5_bucket(pa.chunked_array([["x" * 1000] * 1000]), 10)
    assert pa.total_allocated_bytes() == before


@pytest.mark.parametrize(
    ("values", "bins", "error", "message"),
    [
        (["a"], 10, TypeError, "values must be a NumPy array or an Arrow column.*got list"),
        (pa.array([1.5], pa.float32()), 10, TypeError, "values must hold strings.*Arrow format 'f'.*cast"),
        (pa.array(["a"]).dictionary_encode(), 10, TypeError, "values is dictionary-encoded; decode"),
        (pa.array([[1]]), 10, TypeError, "values must hold strings"),
        (np.zeros(3, np.float32), 10, TypeError, "values must hold strings.*dtype float32"),
        (np.array(["a", None], object), 10, TypeError, "values must hold strings.*dtype object"),
        (np.zeros(3, ">i8"), 10, TypeError, "values has dtype >i8.*native"),
        (np.zeros((2, 2), np.int64), 10, InvalidInputError, "values must be 1-D and C-contiguous"),
        (np.zeros(8, np.int64)[::2], 10, InvalidInputError, "values must be 1-D and C-contiguous"),
        (np.frombuffer(bytes(17), np.int64, 2, 1), 10, InvalidInputError, "values is not aligned"),
        (np.array(["\ud800"]), 10, InvalidInputError, "values holds a character that UTF-8 cannot"),
        (np.zeros(3, np.int64), 0, InvalidInputError, r"bins must be in \[1, 2\*\*31 - 1\], got 0"),
        (np.zeros(3, np.int64), -5, InvalidInputError, "bins must be in"),
        (np.zeros(3, np.int64), 2**31, InvalidInputError, "bins must be in"),
        (np.zeros(3, np.int64), 2.5, TypeError, "bins must be an integer, got float"),
    ],
)
def test_rejects(values: object, bins: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        md5_bucket(values, bins)


def test_rejects_an_unknown_level() -> None:
    with pytest.raises(InvalidInputError, match="level must be scalar, avx2 or avx512, got 'sse'"):
        md5_bucket(np.zeros(3, np.int64), 10, level="sse")
