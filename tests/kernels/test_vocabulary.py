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
from friesian_fast.vocab import VocabularyBuilder, VocabularyIndex


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


def test_merge_adds_up() -> None:
    left, right, both = VocabularyBuilder(","), VocabularyBuilder(","), VocabularyBuilder(",")
    for strings, builder in [(["a,b", "c"], left), (["a", "c,c,"], right)]:
        builder.add(pa.array(strings))
        both.merge(*builder.finish())
    both.merge(pa.array(["x,y"]), np.array([5]))
    values, counts = both.finish()
    assert values.to_list() == ["x,y", "c", "a", "b"]
    assert counts.tolist() == [5, 3, 2, 1]
    assert len(both) == 4


def test_merge_reads_strided_counts() -> None:
    """A view that runs backwards, whose first element has memory of another array behind it."""
    builder = VocabularyBuilder()
    builder.merge(pa.array(["a", "b", "c"]), np.arange(1, 100)[::-1][:3])
    values, counts = builder.finish()
    assert (values.to_list(), counts.tolist()) == (["a", "b", "c"], [99, 98, 97])


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
            lambda: VocabularyBuilder().merge(pa.array(["a"]), np.array([1, 2])),
            InvalidInputError,
            "counts must be 1-D with one count for each of the 1 values, got 2",
        ),
        (
            lambda: VocabularyBuilder().merge(pa.array(["a"]), np.array([0])),
            InvalidInputError,
            "counts must be at least",
        ),
        (
            lambda: VocabularyBuilder().merge(pa.array(["a"]), np.array([1.0])),  # type: ignore[arg-type]
            TypeError,
            "counts must be an ndarray of int64, got float64",
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
