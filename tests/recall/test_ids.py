"""Ids as stores and indexes take them."""

from __future__ import annotations

import numpy as np
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.recall import as_ids


@pytest.mark.parametrize(
    "values", [[3, -1], (3, -1), np.array([3, -1], np.int8), [np.int32(3), -1], np.array([3, -1], object)]
)
def test_integers(values):
    ids = as_ids(values, "int64")
    assert ids.dtype == np.int64
    assert ids.flags.c_contiguous
    assert ids.tolist() == [3, -1]


def test_ends_and_emptiness():
    assert as_ids([-(2**63), 2**63 - 1], "int64").tolist() == [-(2**63), 2**63 - 1]
    assert as_ids([], "int64").dtype == np.int64
    assert as_ids(np.empty(0), "string") == as_ids((), "string") == []
    assert as_ids(np.array([7], np.uint64), "int64").tolist() == [7]
    assert as_ids(np.array(["a", "é"]), "string") == ["a", "é"]


@pytest.mark.parametrize(
    ("values", "id_type", "message"),
    [
        ([1, 2**63, 2], "int64", "^x: id 9223372036854775808 does not fit into 64 bits$"),
        ([*range(10_000), -(10**5000)], "int64", "^x: id an integer of 16610 bits does not fit into 64 bits$"),
        (np.array([2**63], np.uint64), "int64", "id 9223372036854775808 does not fit"),
        ([1, "y" * 5000], "int64", "^x: id 'y{100}'... is not of type int64, which the ids here are$"),
        ([1, True], "int64", "id True is not of type int64"),
        (np.array([True]), "int64", "id True is not of type int64"),
        ([1.0], "int64", "id 1.0 is not of type int64"),
        (["a", 1], "string", "id 1 is not of type string"),
        ([["a"]], "string", "id a list is not of type string"),
        (np.zeros((2, 2), int), "int64", r"got an array of shape \(2, 2\)"),
        ("abc", "string", "ids come as a list, got 'abc'"),
        (b"abc", "int64", "ids come as a list, got a bytes"),
        ({1}, "int64", "ids come as a list, got a set"),
        (7, "int64", "ids come as a list, got 7"),
    ],
)
def test_what_is_no_list_of_ids_is_named_in_few_words(values, id_type, message):
    with pytest.raises(InvalidInputError, match=message):
        as_ids(values, id_type, "x: ")
