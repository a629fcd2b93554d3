"""The kernels of histories, negatives, padding and samples: known answers, then against plain definitions."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import sequence as reference

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError

LENGTHS = [0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 130]


def longs(values: Any) -> Any:
    return np.array(values, np.int64)


def keys_of(values: Any) -> Any:
    return np.array(values, np.uint64)


def negatives(keys: Any, counts: Any, sets: Any, last_item: int, dtype: Any = np.int32) -> Any:
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    lengths = longs([len(one) for one in sets])
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1].astype(np.int64)
    flat = np.array([item for one in sets for item in one], dtype)
    drawn, failed = _core.draw_negatives(
        keys_of(keys), ends, flat, starts, lengths, np.arange(len(sets), dtype=np.int64), last_item
    )
    return [drawn[a:b].tolist() for a, b in itertools.pairwise(ends)], failed


def test_the_reference_is_splitmix64() -> None:
    stream = reference.words(0)
    assert [next(stream) for _ in range(3)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_negatives_known() -> None:
    assert negatives([0], [3], [[]], 2**63 - 1, np.int64)[0] == [
        [1 + word * (2**63 - 1) // 2**64 for word in (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F)]
    ]
    assert negatives([1], [5], [[1, 2, 4, 2, 0, 99]], 4)[0] == [[3, 3, 3, 3, 3]]


@pytest.mark.parametrize("size", LENGTHS)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_negatives_at_lengths_around_the_registers(size: int, dtype: Any) -> None:
    source = np.random.default_rng(size)
    sets = [source.integers(-2, 150, size).tolist() for _ in range(3)]
    counts = [size, 5, 0]
    drawn, failed = negatives([7, 2**63, 2**64 - 1], counts, sets, 140, dtype)
    expected = [
        reference.draw_negatives(key, count, one, 140)
        for key, count, one in zip([7, 2**63, 2**64 - 1], counts, sets, strict=True)
    ]
    assert failed is None
    assert drawn == expected


def test_words_that_would_be_unfair_are_drawn_again() -> None:
    last_item = 2**62 + 2**61  # a quarter of the words
    drawn, _ = negatives([3], [200], [[]], last_item, np.int64)
    assert drawn == [[1 + reference.below(stream, last_item) for _ in range(200)] for stream in [reference.words(3)]]


def test_negatives_are_uniform_on_what_is_allowed() -> None:
    drawn, _ = negatives([11], [90_000], [[2, 5, 9]], 12)
    counts = np.bincount(drawn[0], minlength=13)
    assert (counts[[0, 2, 5, 9]] == 0).all()
    assert abs(counts[[1, 3, 4, 6, 7, 8, 10, 11, 12]] - 10_000).max() < 500  # five standard deviations


def test_a_row_without_a_possible_negative_is_told() -> None:
    assert negatives([1, 2, 3], [1, 0, 1], [[1], [1, 2], [2, 1]], 2)[1] == 2
    assert negatives([1], [1], [[1, 2, 3]], 4)[1] is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 9), st.lists(st.integers(-3, 12), max_size=9)), max_size=6
    ),
    st.integers(10, 40),
)
def test_negatives_as_defined(rows: list[tuple[int, int, list[int]]], last_item: int) -> None:
    drawn, failed = negatives([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows], last_item)
    assert failed is None
    assert drawn == [reference.draw_negatives(key, count, one, last_item) for key, count, one in rows]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 9), max_size=5), st.integers(0, 4), st.integers(1, 5), st.integers(1, 9), st.integers(1, 4)
)
def test_history_blocks_cover_each_row_once(
    sizes: list[int], min_len: int, max_len: int, num_seqs: int, block_rows: int
) -> None:
    bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    blocks = list(zip(*map(list, _core.history_blocks(bounds, min_len, max_len, num_seqs, block_rows)), strict=True))
    expected = [
        (start, row)
        for start, size in zip(bounds, sizes, strict=False)
        if size > 1
        for row in range(start + max(min_len, size - num_seqs), start + size)
    ]
    assert [row for _, first, end in blocks for row in range(first, end)] == [row for _, row in expected]
    starts = {row: start for start, row in expected}
    for begin, first, end in blocks:
        assert end - first <= block_rows
        assert begin == max(starts[first], first - max_len)


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.float32, np.int64, np.float64])
def test_windows(dtype: Any) -> None:
    values = np.arange(40).astype(dtype)
    begins, lengths = longs([0, 3, 39, 7, 40]), longs([0, 17, 1, 33, 0])
    expected = np.concatenate([values[b : b + n] for b, n in zip(begins, lengths, strict=True)])
    got = _core.window_values(values, begins, lengths)
    assert got.dtype == dtype
    assert got.tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.float32, np.int64, np.float64])
@pytest.mark.parametrize("seq_len", [1, 4, 17])
def test_padding_and_masks(dtype: Any, seq_len: int) -> None:
    values = np.arange(1, 101).astype(dtype)
    starts, lengths = longs([0, 5, 100, 60]), longs([5, 17, 0, 40])
    rows = [values[s : s + n].tolist() for s, n in zip(starts, lengths, strict=True)]
    token = np.array([7], dtype)
    got = _core.pad_lists(values, starts, lengths, seq_len, token).reshape(-1, seq_len)
    assert got.dtype == dtype
    assert got.tolist() == [reference.pad(row, seq_len, 7) for row in rows]
    masks = _core.mask_lists(lengths, seq_len).reshape(-1, seq_len).tolist()
    assert masks == [reference.mask(row, seq_len) for row in rows]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(3, 20)), max_size=5), st.integers(1, 3), st.integers(1, 3)
)
def test_samples_as_defined(rows: list[tuple[int, int]], times: int, items: int) -> None:
    got = _core.sample_positions(keys_of([key for key, _ in rows]), longs([n for _, n in rows]), times, items)
    expected = [reference.sample_positions(key, length, times, items) for key, length in rows]
    assert got.reshape(len(rows), times, items).tolist() == expected


def test_keys_of_integers_do_not_depend_on_their_width() -> None:
    values = [3, None, -1, 0, 127]
    start = _core.start_keys(5, 5)
    assert start.tolist() == [reference.mix64(5)] * 5
    expected = [reference.mixed_integer(reference.mix64(5), value) for value in values]
    for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64()):
        assert _core.mix_column(pa.array(values, kind), start).tolist() == expected


def test_keys_tell_values_columns_and_nulls_apart() -> None:
    columns = [
        pa.array(["", "a", None, "b", "a"]),
        pa.array(["", "a", None, "b", "a"], pa.large_string()),
        pa.array([0.0, 1.5, None, -1.5, 1.5]),
        pa.array([0, 1, None, 2, 1]),
    ]
    for column in columns:
        keys = _core.mix_column(column, _core.start_keys(0, 5)).tolist()
        assert keys[1] == keys[4]
        assert len(set(keys)) == 4
        sliced = _core.mix_column(column.slice(1, 3), _core.start_keys(0, 3)).tolist()
        assert sliced == keys[1:4]
    flags = _core.mix_column(pa.array([True, False, None]), _core.start_keys(0, 3)).tolist()
    assert len(set(flags)) == 3
    one, two = pa.array([1, 2]), pa.array([2, 1])
    both = _core.mix_column(two, _core.mix_column(one, _core.start_keys(0, 2)))
    assert both[0] != both[1]  # (1, 2) is not (2, 1)


def test_keys_of_lists() -> None:
    elements = _core.mix_column(longs([1, 2, 3, 1, 2]), _core.start_keys(0, 5))
    starts, lengths = longs([0, 3, 0, 2, 0]), longs([2, 2, 0, 0, -1])
    keys = _core.mix_lists(elements, starts, lengths, _core.start_keys(0, 5)).tolist()
    assert keys[0] == keys[1]
    assert keys[2] == keys[3]
    assert len(set(keys)) == 3  # an empty list is no null


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _core.mix_column(longs([1]), keys_of([1, 2])), "equal length"),
        (lambda: _core.mix_lists(keys_of([1]), longs([1]), longs([1]), keys_of([1])), "outside"),
        (lambda: _core.mix_lists(keys_of([1]), longs([0]), longs([1]), keys_of([])), "equally many"),
        (lambda: _core.window_values(longs([1]), longs([-1]), longs([1])), "outside"),
        (lambda: _core.window_values(longs([1]), longs([0]), longs([2**62])), "outside"),
        (lambda: _core.window_values(longs([[1]]), longs([0]), longs([1])), "1-D"),
        (lambda: _core.window_values(longs([1, 2, 3])[::2], longs([0]), longs([1])), "C-contiguous"),
        (lambda: _core.window_values(longs([1]), longs([0]), longs([])), "equally many"),
        (lambda: _core.pad_lists(longs([1]), longs([0]), longs([1]), 0, longs([1])), "seq_len"),
        (lambda: _core.pad_lists(longs([1]), longs([0]), longs([1]), 2**40, longs([1])), "fewer rows"),
        (lambda: _core.pad_lists(longs([1]), longs([0]), longs([1]), 2, np.array([1], np.int8)), "dtype"),
        (lambda: _core.mask_lists(longs([-1]), 2), "negative"),
        (lambda: _core.mask_lists(longs([1]), 0), "seq_len"),
        (lambda: _core.history_blocks(longs([0, 2]), -1, 1, 1, 1), "at least"),
        (lambda: _core.sample_positions(keys_of([1]), longs([2]), 1, 3), "shorter than the sample"),
        (lambda: _core.sample_positions(keys_of([1]), longs([2]), 0, 1), "at least 1"),
        (lambda: negatives([1], [-1], [[]], 5), "ends must not fall"),
        (lambda: negatives([1], [1], [[]], 0), "last_item"),
        (lambda: negatives([1], [1], [], 5), "equal length"),
    ],
)
def test_wrong_arguments_are_named(call: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        call()


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError):
        _core.mask_lists(np.array([1.0]), 2)
    with pytest.raises(TypeError):
        _core.draw_negatives(keys_of([]), longs([0]), np.array([1], np.int16), longs([]), longs([]), longs([]), 5)
