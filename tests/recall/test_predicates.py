"""Conditions: how they are written, their JSON, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.recall import col, predicate_from_json


@pytest.mark.parametrize(
    ("predicate", "data"),
    [
        (col("price") < 10, {"col": "price", "lt": 10}),
        (col("price") >= np.float32(0.5), {"col": "price", "ge": 0.5}),
        (col("new") == True, {"col": "new", "eq": True}),  # noqa: E712
        (col("country") != "FR", {"col": "country", "ne": "FR"}),
        (col("year").between(1990, 1999), {"col": "year", "between": [1990, 1999]}),
        (col("country").isin({"FR"}), {"col": "country", "in": ["FR"]}),
        (col("price").is_null(), {"col": "price", "null": True}),
        (~(col("a") > 1), {"not": {"col": "a", "gt": 1}}),
        ((col("a") > 1) & (col("b") <= 2), {"and": [{"col": "a", "gt": 1}, {"col": "b", "le": 2}]}),
        ((col("a") > 1) | (col("b") <= 2), {"or": [{"col": "a", "gt": 1}, {"col": "b", "le": 2}]}),
    ],
)
def test_json_round_trip(predicate, data):
    assert predicate.to_json() == data
    assert predicate_from_json(data).to_json() == data
    assert predicate_from_json(json.dumps(data)).to_json() == data


def test_not_null_in_json():
    assert predicate_from_json({"col": "a", "null": False}).to_json() == {"not": {"col": "a", "null": True}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("3", "filter must be an object"),
        ({}, "filter must have 'col' or one of 'and', 'or', 'not'"),
        ({"xor": []}, "got \\['xor'\\]"),
        ({"and": [], "or": []}, "filter must have 'col'"),
        ({"and": {}}, "filter.and must be a list"),
        ({"and": [{"or": [{"not": 3}]}]}, r"filter.and\[0\].or\[0\].not must be an object"),
        ({"col": 3, "eq": 1}, "filter.col must be a column's name, got 3"),
        ({"col": "a"}, "by exactly one of eq, ne"),
        ({"col": "a", "lt": 1, "gt": 0}, r"got \['lt', 'gt'\]"),
        ({"col": "a", "like": "x"}, r"got \['like'\]"),
        ({"col": "a", "in": "FR"}, "filter.in must be a list of values"),
        ({"col": "a", "between": [1]}, r"filter.between must be \[low, high\]"),
        ({"col": "a", "null": 1}, "filter.null must be true or false"),
        ({"col": "a", "eq": None}, "column 'a' is compared with None"),
        ({"col": "a", "eq": [1]}, "a value is a number, a string, true or false"),
        ({"and": [{"col": "a", "lt": float("nan")}]}, r"^filter.and\[0\]: column 'a' is compared with nan"),
        ({"not": {"col": "a", "in": [1, None]}}, "^filter.not: column 'a' is compared with None"),
        ('{"col": "a", "lt": NaN}', "^filter: column 'a' is compared with nan"),
        ('{"col": "a", "lt": -Infinity}', "^filter: column 'a' is compared with -inf"),
        ('{"col": "a", "lt": 5, "lt": 6}', "^filter is not valid JSON .the key 'lt' is there twice in one object"),
        ('{"and": [{"col": "a", "eq": 1, "col": "b"}]}', "the key 'col' is there twice in one object"),
        (
            {"col": "a", "eq": 1, "like": {}, **{str(i): 0 for i in range(9)}},
            r"got \['eq', 'like', '0', '1', '2', ...\]$",
        ),
        ({"and": [{"col": "a", "eq": 1}] * 256}, "more than 256 conditions"),
        ({"col": "a", "in": [1] * 100_001}, "100001 values are too many"),
    ],
)
def test_json_rejects(data, message):
    with pytest.raises(InvalidInputError, match=message):
        predicate_from_json(data)


@pytest.mark.parametrize("depth", [5, 900, 940, 960, 980, 1000, 1100, 5000])
@pytest.mark.parametrize(
    "around",
    [
        '{"col": "a", "eq": %s}',
        '{"col": "a", "null": %s}',
        '{"col": "a", "between": %s}',
        '{"col": "a", "in": [%s]}',
        '{"col": %s, "eq": 1}',
        '{"and": [%s]}',
        '{"not": %s}',
    ],
)
def test_values_nested_to_any_depth_are_refused(around, depth):
    """Also where there is room to read them and none to quote them."""
    with pytest.raises(InvalidInputError, match="^filter") as caught:
        predicate_from_json(around % ("[" * depth + "]" * depth))
    assert len(str(caught.value)) < 300


def test_what_is_quoted_is_short():
    for value in ("x" * 10_000, {"a": 1}, 10**5000, [1] * 1000):
        with pytest.raises(InvalidInputError) as caught:
            predicate_from_json({"col": "a", "null": value})
        assert len(str(caught.value)) < 200


def test_deep_nesting_is_refused():
    data = {"col": "a", "eq": 1}
    for _ in range(40):
        data = {"not": data}
    with pytest.raises(InvalidInputError, match="nested more than 32 deep"):
        predicate_from_json(data)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda: (col("a") > 1) and (col("b") > 1), "has no truth value"),
        (lambda: 1 < col("a") < 3, "has no truth value"),
        (lambda: (col("a") > 1) & 3, "conditions combine with conditions, got 3"),
        (lambda: col(""), "non-empty string"),
        (lambda: col("a") == None, "compared with None"),  # noqa: E711
        (lambda: col("a") < float("inf"), "compared with inf; leave that bound out"),
    ],
)
def test_writing_rejects(write, message):
    with pytest.raises(InvalidInputError, match=message):
        write()
