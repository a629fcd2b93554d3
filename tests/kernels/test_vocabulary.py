from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import vocabulary as reference

from friesian_fast.errors import InvalidInputError
from friesian_fast.vocab import VocabularyBuilder, VocabularyIndex, merge_runs


def built(strings: list[str | None], separator: str | None = None, freq_limit: int = 1) -> list[tuple[str, int]]:
    builder = VocabularyBuilder(separator)
    builder.add(pa.array(strings, pa.string()))
    values, counts = builder.finish(freq_limit)
    return list(zip(pa.array(values).to_pylist(), counts.tolist(), strict=True))


def index_of(values: list[str]) -> VocabularyIndex:
    return VocabularyIndex(pa.array(values, pa.string()))


def test_orders_by_falling_count_then_rising_bytes() -> None:
    strings: list[str | None] = ["b", "a", "b", "é", "z", None, "é", "a", "Z", "", "a"]
    assert built(strings) == [("a", 3), ("b", 2), ("é", 2), ("", 1), ("Z", 1), ("z", 1)]
    assert built(strings, freq_limit=2) == [("a", 3), ("b", 2), ("é", 2)]
    assert built(strings, freq_limit=9) == []


def test_order_beyond_the_first_bytes() -> None:
    """Ties that only the whole strings decide: a shared start, zero bytes, one the start of another."""
    shared = "shared-prefix-of-some-length/"
    tails = [
        "",
        "\0",
        "\0\0",
        "a",
        "ab",
        "a\0",
        "0123456789abcdefX",
        "0123456789abcdefY",
        "0123456789abcdef",
        "\x7f",
        "é",
    ]
    strings: list[str | None] = [shared + tail for tail in tails]
    want = [(value, 1) for value in sorted((str(value) for value in strings), key=str.encode)]
    assert built(strings) == want
    assert built(strings[::-1]) == want


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", [""]),
        (",", []),
        (",,,", []),
        ("a", ["a"]),
        ("a,", ["a"]),
        ("a,,", ["a"]),
        (",a", ["", "a"]),
        ("a,,b", ["a", "", "b"]),
        (",,a,b,,", ["", "", "a", "b"]),
    ],
)
def test_splits_like_java(text: str, pieces: list[str]) -> None:
    """What Java's "text".split(",") gives."""
    assert reference.java_split(text, ",") == pieces
    assert dict(built([text], ",")) == {piece: pieces.count(piece) for piece in pieces}


def test_a_separator_of_several_bytes() -> None:
    assert built(["a::b:c::::d::"], "::") == [("", 1), ("a", 1), ("b:c", 1), ("d", 1)]
    assert built(["a→b→→", "→"], "→") == [("a", 1), ("b", 1)]


strings_lists = st.lists(st.none() | st.text(st.sampled_from("ab,é\0"), max_size=20), max_size=80)


@given(strings_lists, st.none() | st.sampled_from([",", "a", "éa"]), st.integers(1, 3))
@settings(max_examples=300, deadline=None)
def test_builder_matches_the_reference(strings: list[str | None], separator: str | None, limit: int) -> None:
    assert built(strings, separator, limit) == reference.finish(reference.count(strings, separator), limit)


@given(st.lists(st.text(st.sampled_from("ab,é"), max_size=4), unique=True), strings_lists)
@settings(max_examples=300, deadline=None)
def test_lookups_match_the_reference(values: list[str], strings: list[str | None]) -> None:
    index = index_of(values)
    ids = {value: i + 1 for i, value in enumerate(values)}
    column = pa.array(strings, pa.string())
    assert index.lookup(column).tolist() == reference.lookup(ids, strings)
    assert index.lookup_split_min(column, ",").tolist() == reference.lookup_split_min(ids, strings, ",")


@pytest.mark.parametrize("distinct", [1, 31, 32, 33, 63, 64, 65, 5000])
def test_many_strings(distinct: int) -> None:
    rng = np.random.default_rng(distinct)
    strings: list[str | None] = [f"key-{i:05d}" for i in rng.integers(0, distinct, 4 * distinct)]
    pairs = built(strings)
    assert pairs == reference.finish(reference.count(strings))
    index = index_of([value for value, _ in pairs])
    assert len(index) == len(pairs)
    unknown = [f"other-{i}" for i in range(200)]
    assert not index.lookup(pa.array(unknown)).any()
    ids = {value: i + 1 for i, (value, _) in enumerate(pairs)}
    assert index.lookup(pa.array(strings)).tolist() == reference.lookup(ids, strings)


@pytest.mark.parametrize("size", range(40))
def test_strings_that_differ_in_one_byte(size: int) -> None:
    base = bytes(range(65, 65 + size))
    values = [base.decode()] + [(base[:i] + b"~" + base[i + 1 :]).decode() for i in range(size)]
    assert index_of(values).lookup(pa.array(values)).tolist() == list(range(1, size + 2))


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string()])
def test_slices_chunks_and_text_arrays(type_: pa.DataType) -> None:
    values = [f"v{i % 7}" if i % 5 else None for i in range(100)]
    whole, parts = VocabularyBuilder(), VocabularyBuilder()
    whole.add(pa.array(values, type_))
    parts.add(pa.array(values, type_).slice(0, 13))
    parts.add(pa.chunked_array([pa.array(values, type_).slice(13, 40), pa.array(values, type_).slice(53)]))
    assert whole.finish()[0].to_list() == parts.finish()[0].to_list()
    np.testing.assert_array_equal(whole.finish()[1], parts.finish()[1])
    numpy_text = VocabularyBuilder()
    numpy_text.add(np.array([value for value in values if value is not None]))
    assert numpy_text.finish()[0].to_list() == whole.finish()[0].to_list()


def test_runs_add_up() -> None:
    left, right = VocabularyBuilder(","), VocabularyBuilder(",")
    left.add(pa.array(["d,b", "c", "d,c"]))
    right.add(pa.array(["a", "c,c,"]))
    values, counts = left.run()
    assert (values.to_list(), counts.tolist()) == (["b", "c", "d"], [1, 2, 2])
    assert merge_runs([left.run(), right.run()]).to_list() == ["c", "d", "a", "b"]
    assert merge_runs([left.run(), right.run()], 2).to_list() == ["c", "d"]
    assert merge_runs([right.run()]).to_list() == ["c", "a"]
    assert merge_runs([]).to_list() == []


@given(st.lists(strings_lists, max_size=5), st.integers(1, 3), st.sampled_from([pa.string(), pa.large_string()]))
@settings(max_examples=300, deadline=None)
def test_merged_runs_are_one_count(parts: list[list[str | None]], limit: int, kind: pa.DataType) -> None:
    runs = []
    for strings in parts:
        builder = VocabularyBuilder()
        builder.add(pa.array(strings, pa.string()))
        values, counts = builder.run()
        runs.append((pa.array(["before", *values.to_list()], kind)[1:], counts))
    counted = reference.finish(reference.count([text for strings in parts for text in strings]), limit)
    assert merge_runs(runs, limit).to_list() == [value for value, _ in counted]


def test_merged_runs_with_many_different_counts() -> None:
    """Beyond the counts that have a place of their own, ties included."""
    counts = np.array([1000 - i // 2 for i in range(1999)], np.int64)
    values = [f"{i:04d}" for i in range(1999)]
    assert merge_runs([(pa.array(values), counts)]).to_list() == values
    merged = merge_runs([(pa.array(values), counts), (pa.array(values), counts[::-1].copy())], 1).to_list()
    totals = {value: int(count) for value, count in zip(values, counts + counts[::-1], strict=True)}
    assert merged == [value for value, _ in reference.finish(totals)]


def test_slots_serve_an_index_of_the_same_values() -> None:
    values = pa.array([f"key-{i}" for i in range(1000)])
    index = VocabularyIndex(values)
    assert index.slots.flags.writeable is False
    again = VocabularyIndex(values, index.slots)
    assert again.lookup(values).tolist() == list(range(1, 1001))
    del index
    assert again.lookup(pa.array(["key-7", "other"])).tolist() == [8, 0]
    assert not VocabularyIndex(values, np.full(len(again.slots), 2**64 - 1, np.uint64)).lookup(values).any()


def test_an_index_of_chunks_copies_them() -> None:
    values = pa.chunked_array([["a", "b"], [], ["c"]])
    assert VocabularyIndex(values).lookup(pa.array(["c", "a", "x"])).tolist() == [3, 1, 0]
    sliced = pa.array(["skipped", "a", "b"])[1:]
    assert VocabularyIndex(sliced).lookup(pa.array(["b", "skipped"])).tolist() == [2, 0]


def test_finish_leaves_the_builder_usable() -> None:
    builder = VocabularyBuilder()
    assert len(builder) == 0
    assert builder.finish()[0].to_list() == []
    builder.add(pa.array(["a"]))
    first, _ = builder.finish()
    builder.add(pa.array(["b", "b"]))
    assert builder.finish()[0].to_list() == ["b", "a"]
    assert first.to_list() == ["a"]


def test_exported_values_outlive_their_owner() -> None:
    builder = VocabularyBuilder()
    builder.add(pa.array(["one", "two", "two"]))
    array = pa.array(builder.finish()[0])
    del builder
    array.validate(full=True)
    assert array.type == pa.string()
    assert array.to_pylist() == ["two", "one"]
    assert VocabularyIndex(array).lookup(array).tolist() == [1, 2]


def test_an_export_that_nobody_takes_is_released() -> None:
    builder = VocabularyBuilder()
    builder.add(pa.array(["x"]))
    values, _ = builder.finish()
    for _ in range(3):
        values.__arrow_c_array__()
        assert pa.array(values).to_pylist() == ["x"]


def test_empty_index() -> None:
    index = index_of([])
    assert len(index) == 0
    assert index.lookup(pa.array(["a", "", None])).tolist() == [0, 0, 0]
    assert index.lookup_split_min(pa.array(["a", "", None]), ",").tolist() == [0, 0, 0]


def test_threads_share_one_builder_and_one_index() -> None:
    strings = [f"k{i % 97}" for i in range(20_000)]
    column, builder = pa.array(strings), VocabularyBuilder()
    threads = [threading.Thread(target=builder.add, args=(column,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values, counts = builder.finish()
    assert dict(zip(values.to_list(), counts.tolist(), strict=True)) == {
        value: 4 * number for value, number in reference.count(strings).items()
    }
    index = VocabularyIndex(values)
    with ThreadPoolExecutor(4) as pool:
        for ids in pool.map(index.lookup, [column] * 8):
            np.testing.assert_array_equal(ids, index.lookup(column))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: VocabularyBuilder(""), InvalidInputError, "separator must not be empty"),
        (lambda: VocabularyBuilder().add(pa.array([1])), TypeError, "strings must hold strings"),
        (lambda: VocabularyBuilder().add(["a"]), TypeError, "strings must be a NumPy array or an Arrow column"),
        (lambda: VocabularyBuilder().finish(0), InvalidInputError, "freq_limit must be at least 1, got 0"),
        (
            lambda: merge_runs([(pa.array(["a"]), np.array([1, 2]))]),
            InvalidInputError,
            "a run is one chunk of values and a 1-D array of as many counts",
        ),
        (
            lambda: merge_runs([(pa.array(["b", "a"]), np.array([1, 1]))]),
            InvalidInputError,
            "the strings of a run must be in order",
        ),
        (lambda: merge_runs([(pa.array(["a"]), np.array([1.0]))]), TypeError, "incompatible function arguments"),  # type: ignore[list-item]
        (lambda: merge_runs([(np.arange(3), np.arange(3))]), TypeError, "values must hold strings"),
        (lambda: merge_runs([], 0), InvalidInputError, "freq_limit must be at least 1, got 0"),
        (
            lambda: VocabularyIndex(pa.array(["a"]), np.zeros(3, np.uint64)),
            InvalidInputError,
            "an index of 1 values has 32 slots, got 3",
        ),
        (
            lambda: VocabularyIndex(pa.chunked_array([["a"], [None]])),
            InvalidInputError,
            "values must not contain nulls",
        ),
        (lambda: VocabularyIndex(pa.array(["a", "b", "a"])), InvalidInputError, "values holds 'a' twice"),
        (lambda: VocabularyIndex(pa.array(["a", None])), InvalidInputError, "values must not contain nulls"),
        (lambda: VocabularyIndex(np.arange(3)), TypeError, "values must hold strings"),
        (lambda: index_of(["a"]).lookup(np.arange(3)), TypeError, "strings must hold strings"),
        (
            lambda: index_of(["a"]).lookup_split_min(pa.array(["a"]), ""),
            InvalidInputError,
            "separator must not be empty",
        ),
    ],
)
def test_rejects(call: object, error: type[Exception], message: str) -> None:
    assert callable(call)
    with pytest.raises(error, match=message):
        call()
