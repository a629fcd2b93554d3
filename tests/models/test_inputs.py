"""Columns are checked against what a model was built for."""

import itertools

import numpy as np
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.models.inputs import Categorical, check_columns, require_unique, seed_stream

FIELDS = [Categorical("language", 3)]


def columns(**changes):
    return {"language": np.array([0, 1, 2]), "length": np.array([0.0, 0.5, 1.0], dtype=np.float32)} | changes


def test_fitting_columns_pass():
    check_columns(columns(), FIELDS, ["length"], where="train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"language": np.array([0, 3, 4])}, r"train: column 'language' holds id 3 in row 1, outside \[0, 3\)"),
        ({"language": np.array([0, 1, -1])}, r"holds id -1 in row 2"),
        ({"length": np.array([0, np.nan, np.nan])}, r"column 'length' holds nan in row 1 \(2 such rows\)"),
        ({"length": np.array([np.inf, 0, 0])}, r"column 'length' holds inf in row 0"),
    ],
)
def test_the_first_bad_value_is_named(changes, message):
    with pytest.raises(InvalidInputError, match=message):
        check_columns(columns(**changes), FIELDS, ["length"], where="train")


def test_a_missing_column_is_named():
    with pytest.raises(InvalidInputError, match="no column 'length'; it has language"):
        check_columns({"language": np.array([0])}, FIELDS, ["length"], where="train")


def test_a_name_must_be_unique_and_a_size_positive():
    with pytest.raises(InvalidInputError, match="two inputs named 'a'"):
        require_unique(["a", "b", "a"], "tiny")
    with pytest.raises(InvalidInputError, match="'a' has size 0"):
        Categorical("a", 0)


def test_seeds_differ_within_a_stream_and_repeat_with_the_seed():
    first, again, other = (list(itertools.islice(seed_stream(seed), 8)) for seed in (1, 1, 2))
    assert first == again
    assert len({*first, *other}) == 16
    assert all(0 <= seed < 2**31 for seed in first)
