"""Vocabularies, what separates tokens, hashes and crosses: rules, types and what is refused."""

import hashlib
import json
import re

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature import StringIndex, string_index
from friesian_fast.feature.separator import literal

COLUMNS = {
    "id": [0, 1, 2, 3, 4, 5],
    "t": ["b", "a", None, "b", "", "a"],
    "u": ["a", "c", "c", None, "c", "c"],
    "n": pa.array([7, 7, 10, 9, 9, None], pa.int32()),
    "x": [1.0, 0.5, 1.0, None, 1e10, 1.0],
    "tags": ["a|b", "b||", None, "", "c|a|a", "|b"],
}


def md5(text, bins):
    return int(hashlib.md5(text.encode()).hexdigest(), 16) % bins


def by_id(table, name):
    return [value for _, value in sorted(zip(*table.select("id", name).to_dict().values(), strict=True))]


def test_indices_of_one_and_of_several_columns(make):
    table = make(COLUMNS)
    assert table.gen_string_idx("t").to_dict() == {"a": 1, "b": 2, "": 3}
    union = table.gen_string_idx({"src_cols": ["t", "u"], "col_name": "both"})
    assert (union.col_name, union.to_dict()) == ("both", {"c": 1, "a": 2, "b": 3, "": 4})
    named, other, one = table.gen_string_idx([{"src_cols": ["t", "u"]}, "u", {"src_cols": ["t"], "col_name": "n"}])
    assert [index.col_name for index in (named, other, one)] == ["t_union", "u", "n"]
    assert other.to_dict() == {"c": 1, "a": 2}
    assert union.df.columns == ["both", "id"]


def test_categories_keep_their_type(make, tmp_path):
    table = make(COLUMNS)
    numbers, floats = table.gen_string_idx(["n", "x"])
    assert numbers.to_dict() == {7: 1, 9: 2, 10: 3}
    assert numbers.df.dtypes == [("n", "int"), ("id", "int")]
    assert floats.to_dict() == {1.0: 1, 0.5: 2, 1e10: 3}
    assert table.gen_string_idx({"src_cols": ["n", "t"]}).df.dtypes[0][1] == "string"
    numbers.write_parquet(tmp_path)
    floats.write_parquet(tmp_path)
    again = StringIndex.read_parquet(tmp_path / "n.parquet")
    assert again.df.dtypes == numbers.df.dtypes
    assert again.to_dict() == numbers.to_dict()
    floats_again = StringIndex.read_parquet(str(tmp_path / "x.parquet"))
    encoded = table.encode_string(["n", "x"], [again, floats_again])
    assert by_id(encoded, "n") == [1, 1, 3, 2, 2, None]
    assert by_id(encoded, "x") == [1, 2, 1, None, 3, 1]
    assert by_id(table.encode_string("n", StringIndex(numbers.df, "n")), "n") == [1, 1, 3, 2, 2, None]


@pytest.mark.parametrize("limit", [None, 0, {}, {"u": 2}, -1])
def test_limits_that_limit_nothing(make, limit):
    assert make(COLUMNS).gen_string_idx("t", freq_limit=limit).to_dict() == {"a": 1, "b": 2, "": 3}


def test_limits(make):
    table = make(COLUMNS)
    assert table.gen_string_idx("t", freq_limit=2).to_dict() == {"a": 1, "b": 2}
    t, u = table.gen_string_idx(["t", "u"], freq_limit={"u": 4}, order_by_freq=True)
    assert (t.size(), u.to_dict()) == (3, {"c": 1})
    encoded, index = table.category_encode("u", freq_limit=2)
    assert encoded.columns == ["id", "t", "n", "x", "tags", "u"]
    assert by_id(encoded, "u") == [None, 1, 1, None, 1, 1]
    assert index.to_dict() == {"c": 1}
    encoded, (index,) = table.category_encode([{"src_cols": ["t", "u"], "col_name": "both"}])
    assert encoded.columns[-2:] == ["t", "u"]
    assert by_id(encoded, "t") == [3, 2, None, 3, 4, 2]
    assert dict(encoded.dtypes)["t"] == "int"


@pytest.mark.parametrize("sep", ["|", "\\|", "[|]", "\\Q|\\E", "[\\|]"])
def test_tokens(make, sep):
    table = make(COLUMNS)
    index = table.gen_string_idx("tags", do_split=True, sep=sep)
    assert index.to_dict() == {"a": 1, "b": 2, "": 3, "c": 4}
    options = {"do_split": True, "sep": sep}
    lists = table.encode_string("tags", index, **options)
    assert dict(lists.dtypes)["tags"] == "array<int>"
    assert by_id(lists, "tags") == [[1, 2], [2], None, [3], [4, 1, 1], [3, 2]]
    ordered = table.encode_string("tags", index, sort_for_array=True, **options)
    assert by_id(ordered, "tags") == [[1, 2], [2], None, [3], [1, 1, 4], [2, 3]]
    smallest, again = table.category_encode("tags", keep_most_frequent=True, **options)
    assert by_id(smallest, "tags") == [1, 2, None, 3, 1, 2]
    assert again.to_dict() == index.to_dict()


def test_tokens_of_a_dictionary_of_any_ids(make):
    table, ids = make(COLUMNS), {"c": 5, "a": 0, "b": 9}
    options = {"do_split": True, "sep": "|"}
    assert by_id(table.encode_string("tags", ids, **options), "tags") == [[0, 9], [9], None, None, [5, 0, 0], [9]]
    smallest = table.encode_string("tags", ids, keep_most_frequent=True, **options)
    assert by_id(smallest, "tags") == [0, 9, None, None, 0, 9]


@pytest.mark.parametrize(
    ("sep", "text"),
    [
        (",", ","),
        ("|", "|"),
        ("||", "||"),
        (".", "."),
        ("*", "*"),
        ("^", "^"),
        ("[", "["),
        ("[]", "[]"),
        ("\\", "\\"),
        ("\\\\", "\\"),
        ("\t", "\t"),
        ("\\t", "\t"),
        ("\\|\\|", "||"),
        ("[.]", "."),
        ("[\\t]", "\t"),
        ("\\Qa.b\\E", "a.b"),
        (", ", ", "),
        ("::", "::"),
    ],
)
def test_separators_are_text(sep, text):
    assert literal(sep) == text


@pytest.mark.parametrize("sep", ["\\s", "\\s+", "[,;]", "[,;]+", "\\d", "\\W", ".+", ".*", "\\|+", "[\\w]"])
def test_patterns_for_several_texts_are_named(sep):
    with pytest.raises(InvalidInputError, match="only a text can separate tokens"):
        literal(sep)


@pytest.mark.parametrize("sep", ["", None, 3])
def test_what_is_no_text_separates_nothing(sep):
    with pytest.raises(InvalidInputError, match="give the text between tokens"):
        literal(sep)


def test_a_string_index_of_a_dictionary(make, tmp_path):
    index = StringIndex.from_dict({"a": 4, "b": 0}, "t")
    assert (index.to_dict(), index.size(), index.columns) == ({"a": 4, "b": 0}, 2, ["t", "id"])
    assert index.df.dtypes == [("t", "string"), ("id", "int")]
    assert by_id(make(COLUMNS).encode_string("t", index), "t") == [0, 4, None, 0, None, 4]
    index.write_parquet(tmp_path / "made")
    assert StringIndex.read_parquet([tmp_path / "made" / "t.parquet"]).to_dict() == index.to_dict()
    with pytest.raises(InvalidInputError, match=r"t.parquet exists; remove it, or write with mode='overwrite'"):
        index.write_parquet(tmp_path / "made", mode="error")
    longs = index.cast("id", "long")
    assert isinstance(longs, StringIndex)
    assert longs.df.dtypes == [("t", "string"), ("id", "bigint")]
    assert longs.cast("t", "string").df.dtypes == longs.df.dtypes
    assert StringIndex.from_dict({"7": 1}, "n").cast("n", "int").to_dict() == {7: 1}
    assert index.cache() is index
    few = index.filter("id > 0")
    assert (type(few).__name__, few.to_dict()) == ("FeatureTable", {"t": ["a"], "id": [4]})
    with pytest.raises(AttributeError, match="nothing"):
        index.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: StringIndex.from_dict(3, "c"), "indices should be dict, but get int"),
        (lambda t: StringIndex.from_dict({}, None), "col_name should be str, but get None"),
        (lambda t: StringIndex.from_dict({}, 3), "col_name should be str, but get int"),
        (lambda t: StringIndex.from_dict({1: 1}, "c"), "should lead from str to int, neither null, but have 1: 1"),
        (lambda t: StringIndex.from_dict({"a": None}, "c"), "neither null, but have 'a': None"),
        (lambda t: StringIndex.from_dict({"a": 2**31}, "c"), "should lead from str to int"),
        (lambda t: StringIndex(t.select("id").df, "id"), "StringIndex should have >= 2 columns"),
        (lambda t: StringIndex(t.select("t", "u").df, "t"), "id should be a column of the DataFrame"),
        (lambda t: StringIndex(t.select("id", "u").df, "t"), "t should be a column of the DataFrame"),
        (lambda t: StringIndex(t.select("id", "t").df, "t"), "neither null, but have None: 2"),
        (lambda t: StringIndex.from_dict({"a": 1}, "t").cast("x", "int"), r"\['x'\] do not exist in this Table"),
        (lambda t: t.gen_string_idx(3), "columns should be str, dict or a list of them, but got 3"),
        (lambda t: t.gen_string_idx([3]), "columns should be str, dict or a list of them, but got 3"),
        (lambda t: t.gen_string_idx({"src_cols": []}), "src_cols is empty"),
        (lambda t: t.gen_string_idx({"src_cols": ["x", "y"]}), r"\['y'\] do not exist"),
        (lambda t: t.gen_string_idx("l"), "column 'l' of type list.* is no category"),
        (lambda t: t.gen_string_idx("t", 1.5), "freq_limit only supports int, dict or None, but get float"),
        (lambda t: t.gen_string_idx("t", {"t": "3"}), "freq_limit only supports int, dict or None, but get str"),
        (lambda t: t.gen_string_idx("t", do_split=True, sep="\\s"), "sep is the pattern"),
        (lambda t: t.encode_string(["t", "u"], [{}]), "columns len doesn't match indices lenngth"),
        (lambda t: t.encode_string("t", 3), "indices should be StringIndex, dict or a list of them, but got 3"),
        (lambda t: t.encode_string("t", {"a": "1"}), "should lead from str to int"),
        (lambda t: t.encode_string("l", {}), "column 'l' of type list.* is no category"),
    ],
)
def test_wrong_indices_are_named(make, call, message):
    with pytest.raises(InvalidInputError, match=message):
        call(make({**COLUMNS, "l": [[1]] * 6}))


def test_hashes(make):
    table = make(COLUMNS)
    hashed = table.hash_encode(["t", "n"], 101)
    assert hashed.dtypes == [(name, "int" if name in ("t", "n") else kind) for name, kind in table.dtypes]
    assert by_id(hashed, "t") == [md5(str(value), 101) for value in COLUMNS["t"]]
    assert by_id(hashed, "n") == [md5(str(value), 101) for value in COLUMNS["n"].to_pylist()]
    sha = by_id(table.hash_encode("t", 101, method="sha256"), "t")
    assert sha == [int(hashlib.sha256(str(v).encode()).hexdigest(), 16) % 101 for v in COLUMNS["t"]]
    fast = by_id(table.hash_encode("t", 101, method="xxh3"), "t")
    assert fast == [xxhash.xxh3_64_intdigest(str(v).encode()) % 101 for v in COLUMNS["t"]]


@pytest.mark.parametrize(
    "floats", [pa.array([1.0, 0.1, 1e10, None, 1e-5, 2.5], pa.float32()), pa.array([1.0, 0.1, 1e10, None, 1e-5, 2.5])]
)
def test_crosses_are_of_sparks_own_texts(make, floats):
    table = make({**COLUMNS, "x": floats, "ok": [True, False, True, None, False, True]})
    crossed = table.cross_hash_encode([["t", "x"], ["n", "ok", "u"]], [600, 1000], ["one", None])
    assert crossed.columns == [*table.columns, "one", "n_ok_u"]
    joined = table.df.selectExpr("id", "concat(t, x) as one", "concat(n, ok, u) as two").collect()
    assert by_id(crossed, "one") == [md5(str(row.one), 600) for row in sorted(joined)]
    assert by_id(crossed, "n_ok_u") == [md5(str(row.two), 1000) for row in sorted(joined)]
    apart = table.cross_columns(["t", "u"], 50, "both", separator="\x1f")
    texts = zip(COLUMNS["t"], COLUMNS["u"], strict=True)
    assert by_id(apart, "both") == [md5("None" if None in pair else "\x1f".join(pair), 50) for pair in texts]
    for method in ("sha1", "xxh3"):
        assert len(table.cross_hash_encode(["t", "u"], 50, method=method).to_list("t_u")) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("t", [5]), "cross_columns should be a nested list of string"),
        ((["t", ["u"]], [5]), "cross_columns should be a nested list of string"),
        (([["t", 3]], [5]), "cross_columns should be a nested list of string"),
        (([["t", "u"]], 5), "bin_sizes should be a list of int"),
        (([["t", "u"]], ["5"]), "bin_sizes should be a list of int"),
        (([["t", "u"]], [5, 6]), "cross_columns and bin_sizes should have the same length"),
        (([["t", "u"]], [5], "n"), "cross_col_names should be None or a list of string"),
        (([["t", "u"]], [5], ["n", "m"]), "cross_columns, bin_sizes and cross_col_names should have the same length"),
        (([["t"]], [5]), "each element in cross_columns should have >= 2 columns"),
        (([["t", "u"]], [5], [3]), "each element in cross_col_names should be None or string"),
        (([["t", "y"]], [5]), r"\['y'\] do not exist in this Table"),
        (([["t", "u"]], [0]), "bins is 0; it must be an int from 1"),
        (([["t", "u"]], [5], None, "md9"), "there is no hash method 'md9'"),
        (([["t", "u"]], [5], None, "shake_128"), "there is no hash method 'shake_128'"),
        (([["t", "u"], ["t", "n"]], [5, 5], ["o", "o"]), r"\['o'\] would be there twice; give other cross_col_names"),
        (([["t", "u"]], [5], ["n"]), r"\['n'\] would be there twice; give other cross_col_names"),
        (([["t", "l"]], [5]), "column 'l' of type list.* is no category"),
    ],
)
def test_wrong_crosses_are_named(make, arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        make({**COLUMNS, "l": [[1]] * 6}).cross_hash_encode(*arguments)


def test_numpy_ids_are_ids(make):
    ids = {"a": np.int64(4), "b": np.int32(0), "": np.int64(7)}
    index = StringIndex.from_dict(ids, "t")
    assert {type(number) for number in index.to_dict().values()} == {int}
    table = make(COLUMNS).dropna("t").encode_fixed("t", ids)
    assert by_id(table, "t") == [0, 4, 0, 7, 4]
    json.dumps([transform.params for transform in make(COLUMNS).encode_fixed("t", ids).transforms])
    with pytest.raises(InvalidInputError, match="indices of 't' should lead from str to int"):
        make(COLUMNS).encode_fixed("t", {"a": 1.5})


def test_where_an_index_lies(spark, tmp_path, monkeypatch):
    index = StringIndex.from_dict({"a": 4, "b": 1}, "t")
    index.write_parquet(f"file://{tmp_path}/made")
    assert (tmp_path / "made" / "t.parquet").is_dir()
    assert StringIndex.read_parquet(f"file://{tmp_path}/made/t.parquet").to_dict() == index.to_dict()
    with pytest.raises(InvalidInputError, match="write_parquet: .*nowhere"):
        index.write_parquet("nowhere://made")
    with pytest.raises(InvalidInputError, match="read_parquet: .*nowhere"):
        StringIndex.read_parquet("nowhere://made/t.parquet")
    monkeypatch.setattr(string_index, "_is_remote", lambda path: True)  # no other file system is at hand
    index.write_parquet(f"{tmp_path}/spark/")
    assert StringIndex.read_parquet(tmp_path / "spark" / "t.parquet").to_dict() == index.to_dict()
    with pytest.raises(InvalidInputError, match="write_parquet: .*exists"):
        index.write_parquet(tmp_path / "spark", mode="error")


def test_an_index_of_times(make):
    times = pa.array([10**9, 2 * 10**9, 10**9, None], pa.int64()).cast(pa.timestamp("us", "UTC"))
    table = make({"id": [0, 1, 2, 3], "t": times})
    index = table.gen_string_idx("t")
    assert sorted(index.to_dict().values()) == [1, 2]
    assert [time.timestamp() for time in index.to_dict()] == [1000.0, 2000.0]
    assert by_id(table.encode_string("t", index), "t") == [1, 2, 1, None]


def test_parts_that_are_equal_are_both_counted(make):
    table = make({"c": ["a", "b", "b"], "n": [1, 2, None]})
    twice = table.concat(table)
    assert twice.size() == 6
    assert twice.gen_string_idx("c", freq_limit=4).to_dict() == {"b": 1}
    assert twice.gen_string_idx("c", freq_limit=2).to_dict() == {"b": 1, "a": 2}
    counts = twice.target_encode("c", "n", kfold=1)[1][0].to_dict()
    assert sorted(zip(counts["c"], counts["target_encode_count"], strict=True)) == [("a", 2), ("b", 4)]


def test_a_separator_is_a_text(make):
    with pytest.raises(InvalidInputError, match="separator should be str, but got 3"):
        make(COLUMNS).cross_hash_encode([["t", "u"]], [5], separator=3)


def test_fillna(make):
    table = make({**COLUMNS, "s": pa.array([1, None] * 3, pa.int16()), "f": pa.array([None, 0.5] * 3, pa.float32())})
    assert by_id(table.fillna(0, None), "n") == [7, 7, 10, 9, 9, 0]
    assert by_id(table.fillna(0, None), "s") == [1, None] * 3
    filled = table.fillna(3.9, ["n", "s", "f", "x"])
    assert filled.dtypes == table.dtypes
    assert by_id(filled, "n")[-1] == 3
    assert by_id(filled, "s")[1] == 3
    assert by_id(filled, "f")[0] == pytest.approx(3.9)
    assert by_id(table.fillna("?", "t"), "t")[2] == "?"
    for value, column in ((2**31, "n"), (2**15, "s"), (1e300, "id")):
        with pytest.raises(InvalidInputError, match=f"{re.escape(str(value))} does not fit column {column} of type"):
            table.fillna(value, column)
    with pytest.raises(InvalidInputError, match="numeric does not match the type of column t"):
        table.fillna(2**31, None)
