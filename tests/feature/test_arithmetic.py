"""clip, log, add, merge_cols: recorded, and the same from files as from a DataFrame."""

import math
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature import FeatureTable
from friesian_fast.feature.ops import AddValue, Clip, Log, MergeColumns, from_json, to_json

COLUMNS = {
    "i": pa.array([-5, None, 3, 7, 2**31 - 1], pa.int32()),
    "l": pa.array([-(2**40), 0, None, 5, 2**60], pa.int64()),
    "s": pa.array([1, 2, 3, None, -9], pa.int16()),
    "f": pa.array([0.5, -0.5, math.nan, None, 9.75], pa.float32()),
    "d": pa.array([0.9, 2.5, None, math.nan, -3.0]),
    "m": pa.array([Decimal("1.55"), None, Decimal("-2.00"), Decimal("9.99"), Decimal("0.01")], pa.decimal128(6, 2)),
    "t": pa.array(["x", None, "", "7", "yy"]),
    "b": pa.array([True, False, None, True, False]),
}


def written(table, tmp_path):
    """The columns as the table's own Parquet has them, rows in the order of a key."""
    table.write_parquet(tmp_path / "out")
    return pq.read_table(tmp_path / "out")


def same(left, right):
    return repr(left) == repr(right)  # NaN too


def test_clip_keeps_type_place_and_nulls(make, tmp_path):
    table = make(COLUMNS)
    clipped = table.clip(["i", "l", "s", "f", "d", "m"], min=-1, max=5)
    result = written(clipped, tmp_path)
    assert clipped.columns == list(COLUMNS)
    assert result.schema.types == pa.table(COLUMNS).schema.types
    expected = {
        name: [None if v is None else v if v != v else min(max(v, -1), 5) for v in values.to_pylist()]
        for name, values in COLUMNS.items()
        if name not in "tb"
    }
    assert same(
        {name: [None if v is None else float(v) for v in result[name].to_pylist()] for name in expected},
        {name: [None if v is None else float(v) for v in values] for name, values in expected.items()},
    )
    assert clipped.dtypes == table.dtypes


def test_clip_on_one_side_and_with_fractions(make, tmp_path):
    result = written(
        make(COLUMNS).clip("i", max=3.9).clip("s", min=-2.7).clip("d", min=0.95).clip("m", max=1.559), tmp_path
    )
    assert result["i"].to_pylist() == [-5, None, 3, 3, 3]  # cut towards zero: 3
    assert result["s"].to_pylist() == [1, 2, 3, None, -2]
    assert same(result["d"].to_pylist(), [0.95, 2.5, None, math.nan, 0.95])
    assert result["m"].to_pylist() == [Decimal("1.55"), None, Decimal("-2.00"), Decimal("1.55"), Decimal("0.01")]


def test_clip_bounds_beyond_the_type(make):
    table = make(COLUMNS)
    assert sorted(table.clip("s", min=-1e9, max=1e9).select("s").to_list("s"), key=repr) == [-9, 1, 2, 3, None]
    with pytest.raises(InvalidInputError, match="100000 does not fit column 's' of type int16"):
        table.clip("s", min=100000)
    with pytest.raises(InvalidInputError, match="does not fit column 'm' of type decimal"):
        table.clip("m", max=1e20)


@pytest.mark.parametrize("name", ["i", "l", "s", "f", "d", "m"])
def test_log(make, tmp_path, name):
    table = make(COLUMNS)
    values = [None if v is None else float(v) for v in COLUMNS[name].to_pylist()]
    clipped = written(table.log(name), tmp_path)
    assert clipped.schema.types[clipped.column_names.index(name)] == pa.float64()
    expected = [v if v is None or v != v else math.log1p(max(v, 0)) for v in values]
    assert clipped[name].to_pylist() == pytest.approx(expected, nan_ok=True)
    plain = written(table.log([name], clipping=False), tmp_path)[name].to_pylist()
    expected = [v if v is None or v != v else math.log(v) if v > 0 else None for v in values]
    assert plain == pytest.approx(expected, nan_ok=True)


def test_log_keeps_fractions_and_large_longs(make):
    table = make({"d": pa.array([0.5]), "l": pa.array([2**40])}).log(["d", "l"])
    assert table.to_dict() == {"d": [pytest.approx(math.log(1.5))], "l": [pytest.approx(math.log(2**40 + 1))]}


def test_add_has_sparks_types(make, tmp_path):
    table = make(COLUMNS).clip("i", max=100)
    result = written(table.add(["i", "l", "s", "f", "d", "m"], -1), tmp_path)
    assert [str(result.schema.field(name).type) for name in "ilsfdm"] == [
        "int32",
        "int64",
        "int32",
        "float",
        "double",
        "decimal128(13, 2)",
    ]
    for name in "ilsfdm":
        before = [None if v is None else min(v, 100) if name == "i" else v for v in COLUMNS[name].to_pylist()]
        assert same(result[name].to_pylist(), [None if v is None else v - 1 for v in before])
    halves = written(table.add("i", 1.5).add("f", 0.5).add("s"), tmp_path)
    assert halves["i"].to_pylist() == [-3.5, None, 4.5, 8.5, 101.5]
    assert halves.schema.field("f").type == pa.float64()
    assert halves["s"].to_pylist() == [2, 3, 4, None, -8]
    assert written(table.add("i", 2**40), tmp_path)["i"].to_pylist()[0] == 2**40 - 5


def test_a_sum_that_does_not_fit_is_no_other_number(spark, tmp_path):
    pq.write_table(pa.table({"i": COLUMNS["i"]}), tmp_path / "raw.parquet")
    with pytest.raises(InvalidInputError, match="column 'i' plus 1 does not fit int32; cast"):
        FeatureTable.read_parquet(tmp_path / "raw.parquet").add("i").write_parquet(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_merge_cols(make, tmp_path):
    merged = make(COLUMNS).merge_cols(["l", "i"], "both")
    assert merged.columns == ["s", "f", "d", "m", "t", "b", "both"]
    rows = [list(pair) for pair in zip(COLUMNS["l"].to_pylist(), COLUMNS["i"].to_pylist(), strict=True)]
    assert written(merged, tmp_path)["both"].to_pylist() == rows
    assert dict(merged.dtypes)["both"] == "array<bigint>"
    texts = make(COLUMNS).select("b", "i", "t").merge_cols(["i", "t", "b"], "i")
    assert texts.columns == ["i"]
    assert written(texts, tmp_path)["i"].to_pylist()[:2] == [["-5", "x", "true"], [None, None, "false"]]
    assert sorted(map(repr, texts.to_list("i"))) == sorted(map(repr, written(texts, tmp_path)["i"].to_pylist()))


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        (["s", "i"], "int"),
        (["l", "f"], "float"),
        (["f", "d"], "double"),
        (["t", "d"], "string"),
        (["m"], "decimal(6,2)"),
    ],
)
def test_merge_types(make, columns, kind):
    assert make(COLUMNS).merge_cols(columns, "x").dtypes[-1] == ("x", f"array<{kind}>")


@pytest.mark.parametrize("op", [Clip("a", 1, None), Log("a", False), AddValue("a", 1.5), MergeColumns(("a", "b"), "c")])
def test_json_gives_the_same_operation(op):
    assert from_json(to_json(op)) == op


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.clip("i"), "at least one of min and max should be not None"),
        (lambda t: t.clip(min=1), "columns should be str or a list of str, but got None."),
        (lambda t: t.clip("i", min=3, max=2), "min should not be larger than max, but got 3 and 2"),
        (lambda t: t.clip("i", min="3"), "min should be a finite number, but got '3'"),
        (lambda t: t.clip("i", max=math.nan), "max should be a finite number, but got nan"),
        (lambda t: t.clip("t", min=1), "t should be a numeric column, but it has type string"),
        (lambda t: t.clip("x", min=1), r"\['x'\] do not exist in this Table"),
        (lambda t: t.log(), "columns should be str or a list of str, but got None."),
        (lambda t: t.log(["i", "b"]), "b should be a numeric column, but it has type bool"),
        (lambda t: t.add("t"), "t should be a numeric column"),
        (lambda t: t.add("i", "1"), "value should be a finite number, but got '1'"),
        (lambda t: t.add("i", 2**70), "value should fit a long"),
        (lambda t: t.merge_cols("i", "x"), "columns must be a list of column names, but got i."),
        (lambda t: t.merge_cols([], "x"), "columns is empty"),
        (lambda t: t.merge_cols(["i"], 3), "target should be str, but got 3"),
        (lambda t: t.merge_cols(["i", "b"], "x"), "columns 'i' and 'b' have types int32 and bool"),
        (lambda t: t.merge_cols(["i", "m"], "x"), "'i' and 'm' have types"),
    ],
)
def test_wrong_arguments_are_named(make, call, message):
    with pytest.raises(RuntimeError, match=message):
        call(make(COLUMNS))
