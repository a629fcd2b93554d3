"""Buckets by XXH3, against the xxhash package, which wraps the author's own library."""

from __future__ import annotations

import doctest

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from tests.kernels.test_md5_bucket import text_of_length

from friesian_fast import hashing
from friesian_fast.errors import InvalidInputError
from friesian_fast.hashing import cross_bucket, xxh3_bucket

BINS = 2**31 - 1
# Where the hash changes its way: 3, 8, 16, 128 and 240 bytes, stripes of 64, blocks of 1024.
EDGES = [0, 1, 3, 8, 16, 32, 64, 96, 128, 144, 240, 256, 1024, 1088, 2048, 5000]


def expected(texts: list[str], bins: int = BINS) -> list[int]:
    return [xxhash.xxh3_64_intdigest(text.encode()) % bins for text in texts]


def test_known_hash_of_nothing() -> None:
    assert xxh3_bucket(pa.array([""]), BINS).tolist() == [0x2D06800538D394C2 % BINS]


@pytest.mark.parametrize("edge", EDGES)
def test_lengths_around_every_edge(edge: int) -> None:
    texts = [text_of_length(length, length) for length in range(max(edge - 3, 0), edge + 4)]
    assert xxh3_bucket(pa.array(texts), BINS).tolist() == expected(texts)


def test_values_have_the_texts_that_python_gives() -> None:
    for values in ([1, -7, None], [True, False, None], [0.5, 1e22, None], ["a", "漢", None]):
        assert xxh3_bucket(pa.array(values), 600).tolist() == expected(list(map(str, values)), 600)
    assert xxh3_bucket(np.arange(3), 600).tolist() == expected(["0", "1", "2"], 600)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=300)), st.integers(1, BINS))
def test_random_texts_in_chunks(texts: list[str], bins: int) -> None:
    column = pa.chunked_array([pa.array(texts[:5], pa.string()), pa.array(texts[5:], pa.string())])
    assert xxh3_bucket(column, bins).tolist() == expected(texts, bins)


def test_crosses() -> None:
    left, right = ["a", "ab", None, ""], ["bc", "c", "x", ""]
    columns = [pa.array(left), pa.array(right)]
    assert cross_bucket(columns, 600, method="xxh3").tolist() == expected(["abc", "abc", "None", ""], 600)
    apart = cross_bucket(columns, 600, method="xxh3", separator="\x1f")
    assert apart.tolist() == expected(["a\x1fbc", "ab\x1fc", "None", "\x1f"], 600)


def test_the_examples_of_the_docstrings() -> None:
    assert doctest.testmod(hashing).failed == 0


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InvalidInputError, match=r"bins must be in \[1, 2\*\*31 - 1\], got 0"):
        xxh3_bucket(pa.array(["a"]), 0)
    with pytest.raises(TypeError, match="bins must be an integer, got str"):
        xxh3_bucket(pa.array(["a"]), "7")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="method must be 'md5' or 'xxh3', got 'sha1'"):
        cross_bucket([pa.array(["a"])] * 2, 7, method="sha1")
