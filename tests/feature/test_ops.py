"""Each recorded operation against a plain Python definition, nulls included, and its way through JSON."""

import hashlib
import math

import numpy as np
import pyarrow as pa
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops import (
    Cast,
    Constant,
    CrossHash,
    CutBins,
    Drop,
    EncodeFixed,
    EncodeTarget,
    EncodeVocabulary,
    FillNull,
    Function,
    HashBucket,
    MinMaxScale,
    MinMaxScaleList,
    OneHot,
    Rename,
    RowFold,
    SampleListwise,
    Select,
    from_json,
    name_of,
    to_json,
)
from friesian_fast.feature.ops.cast import cast_array, double_text
from friesian_fast.feature.ops.encode import split_tokens
from friesian_fast.feature.ops.keys import key_texts
from friesian_fast.feature.vocabulary_file import (
    load_index,
    merge_run_files,
    read,
    values_sha256,
    write_run,
    write_vocabulary,
)
from friesian_fast.spec import Vocabulary

TEXTS = ["a", "b", None, "", "zz", "a", "ünï", "b"]


def batch(**columns):
    return pa.record_batch(columns)


def md5(text, bins):
    return int(hashlib.md5(text.encode()).hexdigest(), 16) % bins


def doubled(values):
    return pa.array([None if value is None else 2 * value for value in values.to_pylist()], values.type)


def shortened(values):
    return values[1:]


@pytest.fixture
def vocabulary(tmp_path):
    return write_vocabulary(tmp_path / "v.arrow", pa.array(["b", "a", ""]))


@pytest.mark.parametrize(
    "op",
    [
        Select(("a", "b")),
        Drop(("a",)),
        Rename("a", "b"),
        Constant("a", 1.5, "float64"),
        Cast("a", "int32"),
        FillNull("a", ""),
        Function(("a", "b"), "c", "math:sqrt"),
        EncodeFixed("a", (("", 0), ("x", 4)), True),
        EncodeFixed("a", (("x", 4),), False, ",", "sorted"),
        EncodeTarget(("a", "b"), ("c",), (0.5,), "0" * 64, "/somewhere/codes.map", "f", (0, 1)),
        RowFold(("a", "b"), "f", 5, 7),
        EncodeVocabulary("a", "v", "/somewhere/v.arrow"),
        EncodeVocabulary("a", "v", "/somewhere/v.arrow", "\t", "all"),
        HashBucket("a", 10),
        CrossHash(("a", "b"), "c", 10, "sha1", "|"),
        CutBins("a", "b", (1.0, 2.0), ("x", "y", "z"), False),
        MinMaxScale("a", 0.5, 1.5, -1.0, 1.0),
    ],
    ids=lambda op: op.name,
)
def test_json_gives_the_same_operation(op):
    assert from_json(to_json(op)) == op
    assert op.transform().params == op.params
    assert "path" not in op.transform().params


def test_an_unknown_operation_is_named():
    with pytest.raises(InvalidInputError, match="no operation 'mystery'"):
        from_json({"op": "mystery", "inputs": [], "outputs": [], "params": {}})


def test_a_missing_column_is_named():
    with pytest.raises(InvalidInputError, match="no column 'x'; the table has a"):
        HashBucket("x", 3).apply(batch(a=pa.array([1])))


def test_columns_are_picked_dropped_renamed_and_added():
    rows = batch(a=pa.array([1, 2]), b=pa.array(["x", None]), c=pa.array([True, False]))
    assert Select(("c", "a")).apply(rows).schema.names == ["c", "a"]
    assert Drop(("b", "nothing")).apply(rows).schema.names == ["a", "c"]
    assert Rename("b", "z").apply(rows).schema.names == ["a", "z", "c"]
    added = Constant("k", None, "int32").apply(rows)
    assert added.column("k").to_pylist() == [None, None]
    assert added.column("k").type == pa.int32()


@pytest.mark.parametrize(
    ("values", "wanted", "expected"),
    [
        ([True, False, None], "int32", [1, 0, None]),
        ([True, None], "string", ["true", None]),
        (["1", " 2 ", "x", "", None, "3.9", "1e2", "99999999999"], "int32", [1, 2, None, None, None, 3, 100, None]),
        (["1.5", "y", None], "float64", [1.5, None, None]),
        (["true", "N", "?", None], "bool", [True, False, None, None]),
        ([1.9, -1.9, None, math.nan, 1e20, -1e20], "int32", [1, -1, None, 0, 2**31 - 1, -(2**31)]),
        ([1.9, 1e30, -math.inf], "int64", [1, 2**63 - 1, -(2**63)]),
        ([2**32 + 5, -1, None], "int32", [5, -1, None]),
        (pa.array([0.1, 1e-5, 1.0, None], pa.float32()), "string", ["0.1", "1.0E-5", "1.0", None]),
        ([1.0, 0.5, 1e7, 1.25e-4, None], "string", ["1.0", "0.5", "1.0E7", "1.25E-4", None]),
        ([7, None], "string", ["7", None]),
        ([0, 3], "bool", [False, True]),
    ],
)
def test_cast(values, wanted, expected):
    cast = Cast("a", wanted).apply(batch(a=pa.array(values))).column("a")
    assert cast.to_pylist() == expected
    assert cast.type == pa.type_for_alias(wanted)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_casts_of_times_do_not_depend_on_the_unit(unit, zone):
    step = {"s": 10**6, "ms": 1000, "us": 1, "ns": 1}[unit]
    micros = [1577836840_123456, 1577836840_120000, 1577836840_000000, -1_500000, None]
    cut = [None if value is None else value // step * step for value in micros]
    counts = [None if value is None else value * 1000 if unit == "ns" else value // step for value in cut]
    times = pa.array(counts, pa.int64()).cast(pa.timestamp(unit, zone))
    starts = ["2020-01-01 00:00:40"] * 3 + ["1969-12-31 23:59:58"]
    fractions = {"s": ["", "", "", ""], "ms": [".123", ".12", "", ".5"]}.get(unit, [".123456", ".12", "", ".5"])
    texts = [*map("".join, zip(starts, fractions, strict=True)), None]
    assert cast_array(times, "string").to_pylist() == texts
    assert cast_array(times, "int64").to_pylist() == [1577836840] * 3 + [-2, None]
    assert cast_array(times, "int32").to_pylist() == [1577836840] * 3 + [-2, None]
    seconds = [None if value is None else value / 1e6 for value in cut]
    assert cast_array(times, "float64").to_pylist() == seconds
    with pytest.raises(InvalidInputError, match=r"timestamp.* cannot be cast to bool; cast it to long first"):
        cast_array(times, "bool")


def test_dates_have_texts_but_no_numbers():
    days = pa.array([18262, None], pa.date32())
    assert cast_array(days, "string").to_pylist() == ["2020-01-01", None]
    with pytest.raises(InvalidInputError, match=r"date32.* cannot be cast to int32; cast it to string first"):
        cast_array(days, "int32")


@pytest.mark.parametrize("others", [[], ["y"]])
def test_a_text_is_the_same_number_beside_any_others(others):
    assert cast_array(pa.array(["0x1F", "0X1", "7", *others]), "int32").to_pylist()[:3] == [None, None, 7]


def test_dropped_columns_do_not_stand_for_new_ones():
    """A stage leaves the dropping out, so what was dropped is still in its batches."""
    rows = batch(c_1=pa.array([7, 8]), c=pa.array([1, 0]), z=pa.array([3, 4]), c_0=pa.array([9, 9]))
    hot = OneHot("c", "c", 2).apply(rows)
    assert hot.to_pydict() == {"c_0": [0, 1], "c_1": [1, 0], "z": [3, 4]}
    assert OneHot("c", "c", 2, keep=True).apply(rows).schema.names == ["c", "c_0", "c_1", "z"]
    rows = batch(sampled_l=pa.array([7, 8]), l=pa.array([[1], [2]]))
    drawn = SampleListwise(("l",), ("l",), 1, 1, 0, replace=False).apply(rows)
    assert drawn.to_pydict() == {"l": [[1], [2]], "sampled_l": [[1], [2]]}


def test_what_is_no_number_is_not_scaled():
    flat = MinMaxScale("a", 2.0, 2.0).apply(batch(a=pa.array([2.0, math.nan, None]))).column("a").to_pylist()
    assert flat == [0.5, pytest.approx(math.nan, nan_ok=True), None]
    lists = batch(a=pa.array([[2.0, 1.0], [math.nan, None], None]))
    scaled = MinMaxScaleList("a", (2.0, 1.0), (2.0, 1.0)).apply(lists).column("a").to_pylist()
    assert scaled == [[0.5, 0.5], [pytest.approx(math.nan, nan_ok=True), None], None]


def test_double_text_is_javas():
    texts = {
        0.0: "0.0",
        123456789.0: "1.23456789E8",
        1e21: "1.0E21",
        0.001: "0.001",
        9999999.0: "9999999.0",
    }
    assert {value: double_text(value) for value in texts} == texts
    assert [double_text(value) for value in (math.inf, -math.inf, math.nan)] == ["Infinity", "-Infinity", "NaN"]


def test_nested_columns_cannot_be_cast():
    with pytest.raises(InvalidInputError, match="list"):
        cast_array(pa.array([[1]]), "string")


def test_fill_null_keeps_type_and_place():
    rows = batch(a=pa.array([1, None], pa.int32()), b=pa.array([None, "x"]), c=pa.array([None, 1.5]))
    filled = FillNull("c", 2).apply(FillNull("b", "?").apply(FillNull("a", 3.9).apply(rows)))
    assert filled.to_pydict() == {"a": [1, 3], "b": ["?", "x"], "c": [2.0, 1.5]}
    assert filled.schema.types == rows.schema.types


def test_function_replaces_in_place_or_adds():
    rows = batch(a=pa.array([1, None]), b=pa.array(["x", "y"]))
    name = name_of(doubled)
    assert Function(("a",), "a", name).apply(rows).to_pydict() == {"a": [2, None], "b": ["x", "y"]}
    assert Function(("a",), "c", name).apply(rows).schema.names == ["a", "b", "c"]
    with pytest.raises(InvalidInputError, match="made 1 values of 2 rows"):
        Function(("a",), "c", name_of(shortened)).apply(rows)
    with pytest.raises(InvalidInputError, match="top of a module"):
        name_of(lambda values: values)


def test_encode_fixed():
    rows = batch(a=pa.array(TEXTS), b=pa.array(range(8)))
    ids = {"a": 0, "b": 7, "": 3}
    encoded = EncodeFixed("a", tuple(ids.items()), False).apply(rows)
    assert encoded.schema.names == ["b", "a"]
    assert encoded.column("a").to_pylist() == [ids.get(text) for text in TEXTS]
    assert encoded.column("a").type == pa.int32()
    with pytest.raises(InvalidInputError, match=r"column 'a' has the value None; it may be 'a', 'b', ''"):
        EncodeFixed("a", tuple(ids.items()), True).apply(rows)


def test_encode_vocabulary(vocabulary):
    rows = batch(a=pa.array(TEXTS), b=pa.array(range(8)))
    encoded = EncodeVocabulary("a", "v", vocabulary.path).apply(rows)
    ids = {"b": 1, "a": 2, "": 3}
    assert encoded.schema.names == ["b", "a"]
    assert encoded.column("a").to_pylist() == [ids.get(text) for text in TEXTS]


def test_encode_vocabulary_of_numbers_goes_by_their_text(tmp_path):
    numbers = write_vocabulary(tmp_path / "n.arrow", pa.array(["7", "-1"]))
    encoded = EncodeVocabulary("a", "n", numbers.path).apply(batch(a=pa.array([-1, 7, None, 3])))
    assert encoded.column("a").to_pylist() == [2, 1, None, None]


@pytest.mark.parametrize("keep", ["min", "all", "sorted"])
def test_encode_tokens(vocabulary, keep):
    texts = ["a,b", "x,a,a", "x", "", None, ",b", "a,,", ",", "b,x,a"]
    known = {"b": 1, "a": 2, "": 3}
    expected = []
    for text in texts:
        ids = [known[token] for token in (split_tokens(text, ",") if text is not None else []) if token in known]
        chosen = min(ids, default=None) if keep == "min" else (sorted(ids) if keep == "sorted" else ids) or None
        expected.append(chosen)
    encoded = EncodeVocabulary("a", "v", vocabulary.path, ",", keep).apply(batch(a=pa.array(texts))).column("a")
    assert encoded.to_pylist() == expected
    assert encoded.type == (pa.int32() if keep == "min" else pa.list_(pa.int32()))


def test_split_tokens_is_javas():
    assert [split_tokens(text, ",") for text in ("", "a", "a,b", ",a", "a,,", ",", "a,,b")] == [
        [""],
        ["a"],
        ["a", "b"],
        ["", "a"],
        ["a"],
        [],
        ["a", "", "b"],
    ]


@pytest.mark.parametrize(
    "values",
    [TEXTS, [1, -5, None, 2**40], [True, False, None], [1.0, 0.1, 1e20, None]],
    ids=["text", "int", "bool", "float"],
)
@pytest.mark.parametrize("method", ["md5", "sha256"])
def test_hash_bucket_is_pythons(values, method):
    hashed = HashBucket("a", 97, method).apply(batch(a=pa.array(values))).column("a")
    expected = [int(hashlib.new(method, str(value).encode()).hexdigest(), 16) % 97 for value in values]
    assert hashed.to_pylist() == expected
    assert hashed.type == pa.int32()


@pytest.mark.parametrize("method", ["md5", "sha1"])
def test_cross_hash(method):
    rows = batch(
        a=pa.array([1, 12, None]),
        b=pa.array(["23", "3", "x"]),
        c=pa.array([True, False, True]),
        d=pa.array([1.0, 2.5, 0.0]),
    )
    crossed = CrossHash(("a", "b", "c", "d"), "x", 1000, method).apply(rows)
    texts = ["123true1.0", "123false2.5", "None"]
    expected = [int(hashlib.new(method, text.encode()).hexdigest(), 16) % 1000 for text in texts]
    assert crossed.schema.names == ["a", "b", "c", "d", "x"]
    assert crossed.column("x").to_pylist() == expected


def test_cut_bins():
    values = [None, -1.0, 1.0, 1.5, 2.0, math.nan, 99.0]
    rows = batch(a=pa.array(values), b=pa.array(range(7)))
    edges = (1.0, 2.0, 3.0)

    def bin_of(value):
        return 4 if value is None or math.isnan(value) else sum(value >= edge for edge in edges)

    cut = CutBins("a", "a_bin", edges).apply(rows)
    assert cut.schema.names == ["b", "a_bin"]
    assert cut.column("a_bin").to_pylist() == [bin_of(value) for value in values]
    assert cut.column("a_bin").type == pa.int32()
    labelled = CutBins("b", "b", (2.0, 5.0), ("low", "mid", "high")).apply(rows)
    assert labelled.column("b").to_pylist() == ["low", "low", "mid", "mid", "mid", "high", "high"]
    with pytest.raises(InvalidInputError, match="column 'a' has nulls"):
        CutBins("a", "a", (2.0,), ("low", "high")).apply(rows)
    with pytest.raises(InvalidInputError, match="c should be a numeric column"):
        CutBins("c", "c", (2.0,)).apply(batch(c=pa.array(["x"])))


def test_min_max_scale():
    rows = batch(a=pa.array([2, None, 4, 7], pa.int32()), b=pa.array([1, 1, 1, 1]))
    scaled = MinMaxScale("a", 2.0, 6.0, -1.0, 1.0).apply(rows).column("a")
    assert scaled.to_pylist() == [-1.0, None, 0.0, 1.5]
    assert scaled.type == pa.float32()
    flat = MinMaxScale("b", 1.0, 1.0).apply(rows).column("b")
    assert flat.to_pylist() == [0.5] * 4


def test_vocabularies_merge_to_the_order_of_one_count(tmp_path):
    parts = [(["a", "b", "c"], [1, 3, 1]), (["a", "d", "ünï"], [2, 1, 9])]
    for number, (values, counts) in enumerate(parts):
        write_run(tmp_path / f"{number}", pa.array(values), np.array(counts, np.int64))
    paths = [str(tmp_path / "0"), str(tmp_path / "1")]
    merged = merge_run_files(paths, 1, tmp_path / "all.arrow")
    assert read(merged.path).column("value").to_pylist() == ["ünï", "a", "b", "c", "d"]
    frequent = merge_run_files(paths, 3, tmp_path / "some.arrow")
    assert read(frequent.path).column("value").to_pylist() == ["ünï", "a", "b"]
    alone = merge_run_files(paths[:1], 2, tmp_path / "one.arrow")
    assert read(alone.path).column("value").to_pylist() == ["b"]
    assert alone.pinned == Vocabulary.of(["b"])


def test_the_slots_of_a_large_vocabulary_are_kept_beside_it(tmp_path):
    values = [f"{i:06d}" for i in range(40_000)]
    write_run(tmp_path / "run", pa.array(values), np.ones(len(values), np.int64))
    merged = merge_run_files([str(tmp_path / "run")], 1, tmp_path / "all.arrow")
    assert (tmp_path / "all.slots").exists()
    some = pa.array(["000000", "039999", "x"])
    assert load_index(merged.path).lookup(some).tolist() == [1, 40_000, 0]


@pytest.mark.parametrize("values", [[], [""], ["a", "ünï", "", "b" * 50]])
def test_the_hash_of_values_is_the_specs(values):
    for kind in (pa.string(), pa.large_string()):
        assert values_sha256(pa.array(["skipped", *values], kind)[1:]) == Vocabulary.of(values).sha256


def test_a_broken_vocabulary_file_is_named(tmp_path):
    path = tmp_path / "broken.arrow"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidInputError, match=r"broken\.arrow cannot be read as a vocabulary"):
        read(path)


def test_keys_tell_values_apart():
    times = pa.array([1, None], pa.timestamp("ms", "UTC"))
    assert key_texts([times], ["t"]).to_pylist() == ["1000", None]
    floats = pa.array([0.0, -0.0, 1.5, math.nan])
    texts = key_texts([floats], ["x"]).to_pylist()
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3
    pairs = [("a", "b:c"), ("a:b", "c"), ("1:a", ""), ("", "1:a"), (None, "a"), ("a", None)]
    left, right = (pa.array(side) for side in zip(*pairs, strict=True))
    texts = key_texts([left, right], ["l", "r"]).to_pylist()
    assert texts[4:] == [None, None]
    assert len(set(texts[:4])) == 4
    with pytest.raises(InvalidInputError, match="column 'l' of type list.* cannot be told apart by value"):
        key_texts([pa.array([[1]])], ["l"])


def test_folds_go_by_the_rows_content():
    columns = {
        "i": pa.array([1, 2, None, 1], pa.int8()),
        "t": pa.array(["a", None, "", "a"]),
        "x": pa.array([0.5, math.nan, None, 0.5], pa.float32()),
        "d": pa.array([1, 2, None, 1], pa.date32()),
        "s": pa.array([1, 2, None, 1], pa.timestamp("us")),
        "b": pa.array([True, False, None, True]),
    }
    whole = RowFold(tuple(columns), "f", 1000, 3).apply(batch(**columns)).column("f").to_pylist()
    assert whole[0] == whole[3]
    assert len(set(whole)) == 3
    alone = RowFold(tuple(columns), "f", 1000, 3).apply(batch(**columns).slice(1, 2)).column("f").to_pylist()
    assert alone == whole[1:3]
    other = RowFold(tuple(columns), "f", 1000, 4).apply(batch(**columns)).column("f")
    assert other.to_pylist() != whole
    assert other.type == pa.int32()
