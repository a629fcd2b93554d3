"""cut_bins with names instead of indices."""

import math
from decimal import Decimal

import pyarrow as pa
import pytest

from friesian_fast.errors import InvalidInputError

AGES = pa.array([3, 18, 29, 30, 99], pa.int32())


def test_labels(make):
    table = make({"age": AGES, "w": [0.5, 1.0, 1.5, 2.0, -1.0]})
    named = table.cut_bins("age", [18, 30], labels=["child", "young", "old"])
    assert named.dtypes == [("w", "double"), ("age_bin", "string")]
    assert sorted(named.to_list("age_bin")) == ["child", "old", "old", "young", "young"]
    both = table.cut_bins(
        ["age", "w"], {"age": [18], "w": [1.0]}, labels={"w": ["light", "heavy"]}, out_cols=["a", "b"], drop=False
    )
    assert both.columns == ["age", "w", "a", "b"]
    assert sorted(both.to_list("a")) == [0, 1, 1, 1, 1]
    assert sorted(both.to_list("b")) == ["heavy"] * 3 + ["light"] * 2
    in_place = table.cut_bins("age", [18, 30], labels=["c", "y", "o"], out_cols="age")
    assert in_place.columns == ["w", "age"]


@pytest.mark.parametrize("missing", [None, math.nan])
def test_null_has_an_index_but_no_label(make, tmp_path, missing):
    table = make({"x": pa.array([1.0, missing, 5.0], pa.float64())})
    assert sorted(table.cut_bins("x", [2.0]).to_list("x_bin")) == [0, 1, 2]
    with pytest.raises(Exception, match="column 'x' has nulls, for which there is no label; fill them first"):
        table.cut_bins("x", [2.0], labels=["low", "high"]).write_parquet(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    named = table.cut_bins("x", [2.0], labels=["low", "high", "none"])
    assert sorted(named.to_list("x_bin")) == ["high", "low", "none"]


def test_bins_of_equal_width_and_of_other_types(make):
    table = make({"i": pa.array([0, 4, None, 10], pa.int16()), "m": pa.array([2**60, 2**53 + 1, 0, 1], pa.int64())})
    assert sorted(table.cut_bins("i", 2).to_list("i_bin")) == [1, 1, 3, 4]
    both = table.cut_bins(["i", "m"], {"i": 1, "m": [1.0, 2.0**60]}, labels={"i": ["<", "in", ">", "?"]}, drop=False)
    assert both.columns == ["i", "m", "i_bin", "m_bin"]
    assert sorted(both.to_list("i_bin")) == [">", "?", "in", "in"]
    assert sorted(both.to_list("m_bin")) == [0, 1, 1, 2]
    decimals = make({"d": pa.array([Decimal("1.5"), Decimal("2.5"), None, None], pa.decimal128(4, 1))})
    assert sorted(decimals.cut_bins("d", [2]).to_list("d_bin")) == [0, 1, 2, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ["low"]}, "labels should be of length 2 to match bins"),
        ({"labels": {"age": ["a", "b", "c", "d"]}}, "labels should be of length 2 to match bins"),
        ({"labels": ["low", 3]}, "labels of column 'age' should be a list of str"),
        ({"labels": "lo"}, "labels of column 'age' should be a list of str, but got lo"),
        ({"bins": 0}, "bins of column 'age' is 0; give at least 1"),
        ({"bins": True}, "bins of column 'age' are True; give ascending edges, or an int"),
        ({"bins": []}, "give ascending edges"),
        ({"bins": [1, 1]}, "give ascending edges"),
        ({"bins": [1, math.nan]}, "give ascending edges"),
        ({"bins": "12"}, "give ascending edges"),
        ({"bins": {"other": 3}}, "bins has no entry for column 'age'"),
        ({"columns": "same", "bins": 3}, "column 'same' has no value but 1.0, which cannot be cut"),
        ({"columns": "none", "bins": 3}, "column 'none' has no values"),
        ({"columns": "t"}, "t should be a numeric column"),
        ({"columns": ["age", "same"], "out_cols": "o"}, "out_cols has 1 names for 2 columns"),
        ({"columns": ["age", "same"], "out_cols": ["o", "o"]}, r"\['o'\] would be there twice"),
        ({"out_cols": "same"}, r"\['same'\] would be there twice; give other out_cols"),
        ({"columns": ["age", "same"], "out_cols": ["same", "age"]}, r"\['same', 'age'\] would be there twice"),
        ({"out_cols": [3]}, "out_cols has 1 names for 1 columns; give one str for each"),
    ],
)
def test_wrong_arguments_are_named(make, arguments, message):
    table = make({"age": AGES, "same": [1] * 5, "none": pa.array([None] * 5, pa.int32()), "t": ["x"] * 5})
    with pytest.raises(InvalidInputError, match=message):
        table.cut_bins(**{"columns": "age", "bins": [18], **arguments})
