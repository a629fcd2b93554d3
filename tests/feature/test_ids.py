"""One-hot columns, ids in place of ids, and the values of columns."""

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops import LookUp, OneHot, from_json, to_json

COLUMNS = {
    "i": [0, 1, 2, 3, 4, 5],
    "a": pa.array([0, 2, 1, 2, 2, 0], pa.int32()),
    "b": [3, 1, 1, 3, 3, 3],
    "n": pa.array([7, None, 7, 9, 7, 9], pa.int16()),
    "t": ["x", None, "y", "y", "", "x"],
    "l": pa.array([[3, 1], [], None, [1, None, 8], [3], [1]], pa.list_(pa.int64())),
    "ll": pa.array([[[3], [1, 3]], [], None, [None, [8]], [[]], [[1, None]]], pa.list_(pa.list_(pa.int32()))),
}


def test_one_hot(make, rows_of):
    table = make(COLUMNS).select("i", "a", "b").one_hot_encode(["a", "b"])
    names = ["a_0", "a_1", "a_2", "b_0", "b_1", "b_2", "b_3"]
    assert table.columns == ["i", *names]
    assert {kind for name, kind in table.dtypes if name in names} == {"int"}
    expected = [
        (i, *(int(a == k) for k in range(3)), *(int(b == k) for k in range(4)))
        for i, (a, b) in enumerate(zip(COLUMNS["a"].to_pylist(), COLUMNS["b"], strict=True))
    ]
    assert rows_of(table) == expected


def test_one_hot_with_sizes_prefixes_and_the_column(make):
    table = make(COLUMNS).select("a", "b", "i")
    kept = table.one_hot_encode("a", sizes=4, prefix="kind", keep_original_columns=True)
    assert kept.columns == ["a", "kind_0", "kind_1", "kind_2", "kind_3", "b", "i"]
    assert kept.to_list("kind_3") == [0] * 6
    both = table.one_hot_encode(["b", "a"], sizes=[4, np.int64(3)], prefix=["p", "q"])
    assert both.columns == ["q_0", "q_1", "q_2", "p_0", "p_1", "p_2", "p_3", "i"]
    in_its_name = table.rename({"a": "a_1"}).one_hot_encode("a_1", prefix="a")
    assert in_its_name.columns == ["a_0", "a_1", "a_2", "b", "i"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"columns": "nothing"}, r"\['nothing'\] do not exist in this Table"),
        ({"columns": "t"}, "t should be a column of int, but it has type string"),
        ({"columns": ["a", "b"], "sizes": [3]}, "columns and sizes should have the same length"),
        ({"columns": ["a", "b"], "prefix": "p"}, "columns and prefix should have the same length"),
        ({"columns": "a", "sizes": "3"}, "sizes should be int or a list of int, but got 3."),
        ({"columns": "a", "prefix": 3}, "prefix should be str or a list of str, but got 3."),
        ({"columns": "a", "sizes": 0}, "each must be at least 1"),
        ({"columns": "a", "sizes": 10**6}, "all together at most 100000"),
        ({"columns": ["a", "b"], "prefix": ["p", "p"]}, r"\['p_0', 'p_1', 'p_2'\] would be there twice"),
        ({"columns": "n"}, "column 'n' has 1 nulls; one-hot columns need ids from 0 in every row"),
        ({"columns": "minus"}, "column 'minus' has negative ids"),
    ],
)
def test_wrong_one_hot_arguments_are_named(make, arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        make({**COLUMNS, "minus": [-1, 0, 0, 0, 0, 0]}).one_hot_encode(**arguments)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, None], "column 'a' has nulls, which have no one-hot code"),
        ([0, 2], "column 'a' has the id 2, but its one-hot size is 2"),
        ([0, -1], "column 'a' has the id -1"),
    ],
)
def test_ids_without_a_one_hot_code_are_named(values, message):
    with pytest.raises(InvalidInputError, match=message):
        OneHot("a", "a", 2).apply(pa.record_batch({"a": pa.array(values, pa.int64())}))


def test_reindex_mapping_and_reindex(make, rows_of):
    table = make(COLUMNS)
    by_b, by_n = table.gen_reindex_mapping(["b", "n"], freq_limit={"b": 1, "n": 3})
    assert by_b.dtypes == [("b", "bigint"), ("b_new", "int")]
    assert rows_of(by_b) == [(1, 2), (3, 1)]
    assert by_n.dtypes == [("n", "smallint"), ("n_new", "int")]
    assert rows_of(by_n) == [(7, 1)]
    assert rows_of(table.gen_reindex_mapping("a", 2)[0]) == [(0, 2), (2, 1)]
    assert table.gen_reindex_mapping(["b"])[0].size() == 0
    assert table.gen_reindex_mapping() == []
    new = table.reindex(["b", "n"], [by_b, by_n])
    assert new.columns == table.columns
    assert rows_of(new.select("i", "b", "n")) == [(0, 1, 1), (1, 2, None), (2, 2, 1), (3, 1, 0), (4, 1, 1), (5, 1, 0)]
    assert dict(new.dtypes)["n"] == "int"
    lists = table.reindex(["l", "ll"], [by_b, by_b])
    assert dict(lists.dtypes) == {**dict(table.dtypes), "l": "array<int>", "ll": "array<array<int>>"}
    assert dict(zip(*lists.select("i", "l").to_dict().values(), strict=True)) == {
        0: [1, 2],
        1: [],
        2: None,
        3: [2, None, 0],
        4: [1],
        5: [2],
    }
    assert dict(zip(*lists.select("i", "ll").to_dict().values(), strict=True)) == {
        0: [[1], [2, 1]],
        1: [],
        2: None,
        3: [None, [0]],
        4: [[]],
        5: [[2, None]],
    }
    assert table.reindex() is not None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.reindex(["a", "b"], t), "each column of columns should have one corresponding index_dict"),
        (lambda t: t.reindex("a", []), "each column of columns should have one corresponding index_dict"),
        (lambda t: t.reindex("a", [3]), "index_tbls of column 'a' should be a Table of old and new ids"),
        (lambda t: t.reindex("a", t.select("a")), "index_tbls of column 'a' should be a Table of old and new ids"),
        (lambda t: t.reindex("a", t.select("a", "t")), "index_tbls of column 'a': t should be a column of int"),
        (lambda t: t.reindex("t", t.select("a", "b")), "t should be a column of int, or of lists of int"),
        (lambda t: t.reindex("a", t.select("a", "b")), "index_tbls of column 'a' has the id . twice"),
        (lambda t: t.reindex("x", t), r"\['x'\] do not exist"),
        (lambda t: t.gen_reindex_mapping(["t"]), "t should be a column of int"),
        (lambda t: t.gen_reindex_mapping(["a"], "3"), "freq_limit only supports int or dict, but get str"),
        (lambda t: t.gen_reindex_mapping(["a"], {"b": 3}), "freq_limit has no entry for column 'a'"),
        (lambda t: t.get_vocabularies("l"), "column 'l' of type list.* is no category"),
        (lambda t: t.get_vocabularies("x"), r"\['x'\] do not exist"),
    ],
)
def test_wrong_arguments_are_named(make, call, message):
    with pytest.raises(InvalidInputError, match=message):
        call(make(COLUMNS))


def test_recorded_steps_go_through_json_and_pin_their_maps(make):
    table = make(COLUMNS)
    (mapping,) = table.gen_reindex_mapping("b", 1)
    (reindexed,) = table.reindex("b", mapping).parts[0].ops
    hot = OneHot("a", "p", 3, True)
    for op in (reindexed, hot):
        assert from_json(to_json(op)) == op
        assert op.transform().params == op.params
    assert isinstance(reindexed, LookUp)
    assert len(reindexed.params["sha256"]) == 64


def test_get_vocabularies(make):
    rows = {
        **COLUMNS,
        "x": [1.5, math.nan, 1.5, 1e20, None, -0.25],
        "m": pa.array([Decimal("1.50"), None, Decimal("1.50"), Decimal("2.00"), None, None], pa.decimal128(6, 2)),
        "ok": [True, True, False, None, True, True],
    }
    found = make(rows).get_vocabularies(["b", "t", "n", "x", "m", "ok"])
    assert list(found) == ["b", "t", "n", "x", "m", "ok"]
    assert found["b"] == [3, 1]
    assert found["t"] == ["x", "y", ""]
    assert found["n"] == [7, 9]
    assert found["x"][0] == 1.5
    assert {repr(x) for x in found["x"]} == {"1.5", "nan", "1e+20", "-0.25"}
    assert found["m"] == [Decimal("1.50"), Decimal("2.00")]
    assert found["ok"] == [True, False]
    assert make(COLUMNS).get_vocabularies("a") == {"a": [2, 0, 1]}


def test_too_many_values_for_the_driver_are_refused(make, monkeypatch):
    monkeypatch.setattr("friesian_fast.feature.ids._MOST_VALUES", 2)
    with pytest.raises(InvalidInputError, match="column 'a' has 3 distinct values, too many for the driver"):
        make(COLUMNS).get_vocabularies("a")
