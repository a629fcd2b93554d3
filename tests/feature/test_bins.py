"""cut_bins with names instead of indices."""

import math

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


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["low"], "labels should be of length 2 to match bins"),
        ({"age": ["a", "b", "c"]}, "labels should be of length 2 to match bins"),
    ],
)
def test_wrong_labels_are_named(make, labels, message):
    with pytest.raises(InvalidInputError, match=message):
        make({"age": AGES}).cut_bins("age", [18], labels=labels)
