"""add_hist_seq, mask, pad, add_value_features: behaviour, nulls, types, order, and the same for any partitioning."""

import datetime
import math
import sys
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.reference import sequence as reference

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature import FeatureTable, user_rows
from friesian_fast.feature import history as history_module
from friesian_fast.feature.ops import LookUp, Mask, Pad, UnfoldHistory, from_json, to_json
from friesian_fast.feature.ops import unfold as unfold_module

CLICKS = {
    "item": pa.array([5, 6, None, 8, 9, 10, 11], pa.int32()),
    "user": pa.array([1, 1, 2, 2, 3, 1, 2], pa.int32()),
    "time": pa.array([30, 10, 20, 10, 10, 20, None], pa.int64()),
    "name": pa.array(["a", "b", "c", None, "e", "f", "g"]),
}
LISTS = {
    "i": pa.array([[1, 2, 3], [], None, [4], [5, None, 7, 8, 9]], pa.list_(pa.int32())),
    "f": pa.array([[0.5], [1.5, 2.5, 3.5], [], None, [4.5]], pa.list_(pa.float32())),
    "s": pa.array([["x", "y"], [], None, ["z", None], ["p", "q", "r", "s"]]),
    "n": pa.array([[[1, 2], [3]], [], None, [[], [4]], [[5], [6], [7], [8]]], pa.list_(pa.list_(pa.int64()))),
    "x": pa.array([1, 2, 3, 4, 5]),
}


def written(table, tmp_path):
    table.write_parquet(tmp_path / "out")
    return pq.read_table(tmp_path / "out")


def as_rows(table):
    return [row.asDict() for row in table.collect()]


def in_users_order(rows, user="user"):
    """Users may come in any order, their own rows may not."""
    return sorted(rows, key=lambda row: (row[user] is not None, row[user] or 0))


def plain(columns):
    return pa.table(columns).to_pylist()


def test_add_hist_seq(make, tmp_path):
    table = make(CLICKS).add_hist_seq(["item", "name"], "user")
    assert table.columns == ["user", "item", "item_hist_seq", "time", "name", "name_hist_seq"]
    assert table.size() == 4
    expected = [
        {"user": 1, "item": 10, "item_hist_seq": [6], "time": 20, "name": "f", "name_hist_seq": ["b"]},
        {"user": 1, "item": 5, "item_hist_seq": [6, 10], "time": 30, "name": "a", "name_hist_seq": ["b", "f"]},
        {"user": 2, "item": 8, "item_hist_seq": [11], "time": 10, "name": None, "name_hist_seq": ["g"]},
        {"user": 2, "item": None, "item_hist_seq": [11, 8], "time": 20, "name": "c", "name_hist_seq": ["g", None]},
    ]
    assert in_users_order(as_rows(table)) == expected
    result = written(table, tmp_path)
    assert in_users_order(result.to_pylist()) == expected
    assert [str(field.type) for field in result.schema][:4] == ["int32", "int32", "list<element: int32>", "int64"]
    assert table.transforms == ()


@pytest.mark.parametrize(
    "bounds", [{"min_len": 2}, {"max_len": 1}, {"num_seqs": 1}, {"min_len": 0}, {"min_len": 9}, {"max_len": 2**31}]
)
def test_the_bounds_of_histories(make, bounds):
    got = as_rows(make(CLICKS).add_hist_seq("item", "user", **bounds))
    assert in_users_order(got) == reference.add_hist_seq(plain(CLICKS), ["item"], "user", "time", **bounds)


DAYS = [datetime.date(2026, 1, day) for day in (3, 1, 2)]
TYPES = {
    "short": pa.array([3, 1, 2], pa.int16()),
    "float": pa.array([0.5, -1.5, 0.25], pa.float32()),
    "text": pa.array(["c", "a", "b"]),
    "date": pa.array(DAYS),
    "decimal": pa.array([Decimal("1.10"), Decimal("-2.00"), Decimal("0.50")]),
    "flag": pa.array([True, False, None]),
    "list": pa.array([[1, 2], None, [3]], pa.list_(pa.int64())),
}


@pytest.mark.parametrize("name", list(TYPES))
def test_histories_of_every_type(make, tmp_path, name):
    columns = {"user": pa.array(["u"] * 3), "time": pa.array([1, 2, 3]), "x": TYPES[name]}
    result = written(make(columns).add_hist_seq("x", "user"), tmp_path)
    values = TYPES[name].to_pylist()
    assert result["x_hist_seq"].to_pylist() == [values[:1], values[:2]]
    assert result["x"].to_pylist() == values[1:]


@pytest.mark.parametrize("name", ["short", "float", "text", "date", "decimal"])
def test_sorting_by_every_type(make, name):
    columns = {"user": pa.array([1, 1, 1]), "when": TYPES[name], "item": pa.array([3, 1, 2])}
    assert [row["item_hist_seq"] for row in as_rows(make(columns).add_hist_seq("item", "user", "when"))] == [
        [1],
        [1, 2],
    ]


def test_histories_of_the_user_itself_and_of_nobody(make):
    columns = {"user": pa.array([None, None, 1, 1], pa.int32()), "time": pa.array([1, 2, 1, 2])}
    rows = in_users_order(as_rows(make(columns).add_hist_seq("user", "user")))
    assert rows == [
        {"user": None, "user_hist_seq": [None], "time": 2},
        {"user": 1, "user_hist_seq": [1], "time": 2},
    ]


def test_no_rows_and_no_histories(make, tmp_path):
    empty = make({name: values.slice(0, 0) for name, values in CLICKS.items()}).add_hist_seq("item", "user")
    assert (empty.size(), empty.columns[:3]) == (0, ["user", "item", "item_hist_seq"])
    alone = make({"user": pa.array([1, 2]), "time": pa.array([1, 2])}).add_hist_seq("time", "user")
    assert written(alone, tmp_path).to_pylist() == []
    assert alone.dtypes == [("user", "bigint"), ("time", "bigint"), ("time_hist_seq", "array<bigint>")]


def test_rows_that_steps_made_count_for_the_shards(spark, tmp_path, monkeypatch):
    columns = {"user": pa.array([i % 8 for i in range(64)]), "time": pa.array(range(64)), "item": pa.array([1] * 64)}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    table = FeatureTable.read_parquet(tmp_path / "rows.parquet").add_negative_samples(9, "item", neg_num=3)
    monkeypatch.setattr(user_rows, "_SHARD_ROWS", 40)
    cut = []
    run_tasks = user_rows.run_tasks

    def watched(session, task, inputs):
        cut.extend(one["shards"] for one in inputs if "shards" in one)
        return run_tasks(session, task, inputs)

    monkeypatch.setattr(user_rows, "run_tasks", watched)
    assert table.add_hist_seq("item", "user").size() == 8 * (8 * 4 - 1)
    assert set(cut) == {-(-64 * 4 // 40)}


def test_bounds_beyond_any_history(make):
    huge = {"max_len": sys.maxsize, "num_seqs": sys.maxsize}
    rows = in_users_order(as_rows(make(CLICKS).add_hist_seq("item", "user", **huge)))
    assert rows == in_users_order(as_rows(make(CLICKS).add_hist_seq("item", "user")))
    assert make(CLICKS).add_hist_seq("item", "user", min_len=sys.maxsize).size() == 0


@pytest.mark.parametrize("stored", ["INT96", "TIMESTAMP_MICROS"])
def test_sorting_by_timestamps_however_they_are_stored(spark, tmp_path, stored):
    times = [datetime.datetime(year, 1, 1, 0, 0, 0, 5, datetime.UTC) for year in (2300, 1969, 2020)]
    when = pa.array(times, pa.timestamp("us", "UTC"))
    rows = pa.table({"user": [1, 1, 1], "when": when, "item": [3, 1, 2], "all": pa.array([[one] for one in times])})
    old = stored == "INT96"
    pq.write_table(rows, tmp_path / "a.parquet", use_deprecated_int96_timestamps=old, store_schema=False)
    before = spark.conf.get("spark.sql.parquet.outputTimestampType")
    spark.conf.set("spark.sql.parquet.outputTimestampType", stored)
    try:
        for table in (FeatureTable(spark.createDataFrame(rows)), FeatureTable.read_parquet(tmp_path / "a.parquet")):
            assert table._type("when") == when.type
            made = table.add_hist_seq(["item", "when"], "user", "when")
            written = made.df.toArrow()
            assert written["item_hist_seq"].to_pylist() == [[1], [1, 2]]
            assert written["when"].cast(when.type).to_pylist() == [times[2], times[0]]
            assert written["when_hist_seq"].to_pylist() == [[times[1]], [times[1], times[2]]]
            made.write_parquet(tmp_path / "out")
            assert pq.read_table(tmp_path / "out")["when"].to_pylist() == [times[2], times[0]]
            table.write_parquet(tmp_path / "plain")
            found = FeatureTable.read_parquet(tmp_path / "plain").df.toArrow()["all"].to_pylist()
            assert sorted(found) == sorted([time] for time in times)
    finally:
        spark.conf.set("spark.sql.parquet.outputTimestampType", before)


def test_blocks_shards_and_pieces_change_nothing(spark, tmp_path, monkeypatch):
    columns = {
        "user": pa.array([i * 7 % 5 for i in range(200)]),
        "time": pa.array([i * 31 % 17 for i in range(200)]),  # many ties
        "item": pa.array([i * 13 % 50 for i in range(200)], pa.int32()),
    }
    expected = reference.add_hist_seq(plain(columns), ["item"], "user", "time", 1, 7)
    for files, shard_rows in ((1, 1 << 19), (4, 1 << 19), (3, 50)):
        directory = tmp_path / f"{files}-{shard_rows}"
        directory.mkdir()
        for i in range(files):
            pq.write_table(pa.table(columns).take(list(range(i, 200, files))), directory / f"{i}.parquet")
        monkeypatch.setattr(user_rows, "_SHARD_ROWS", shard_rows)
        table = FeatureTable.read_parquet(directory).add_hist_seq("item", "user", max_len=7)
        assert in_users_order(written(table, tmp_path).to_pylist()) == expected
    # In this process, where the limits can be made small.
    monkeypatch.setattr(history_module, "_BATCH_ROWS", 10)
    monkeypatch.setattr(user_rows, "_PENDING_ROWS", 30)
    monkeypatch.setattr(unfold_module, "PIECE_VALUES", 20)
    split = {
        "stage": {"columns": list(columns), "ops": [], "outputs": list(columns)},
        "pieces": [(str(file), [0]) for file in sorted((tmp_path / f"4-{1 << 19}").iterdir())],
    }
    files = user_rows.cut_split({**split, "user": "user", "shards": 1, "directory": str(tmp_path)})["files"][0]
    assert len(files) > 1
    bounds = {"min_len": 1, "max_len": 7, "num_seqs": 2**31 - 1, "block_rows": 3}
    task = {"user": "user", "files": files, "sort": "time", "path": str(tmp_path / "blocks.parquet"), **bounds}
    history_module.write_blocks(task)
    op = UnfoldHistory("user", ("time", "item"), ("item",), 7)
    pieces = [piece for batch in pq.read_table(task["path"]).to_batches() for piece in op.stream(batch)]
    assert len(pieces) > 10
    assert pa.Table.from_batches(pieces).to_pylist() == expected


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.none() | st.integers(0, 4), st.none() | st.integers(-5, 5)),
        min_size=1,
        max_size=25,
    ),
    bounds=st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 5)),
)
def test_histories_as_defined(tmp_path, rows, bounds):
    columns = {
        name: pa.array(list(values), pa.int64()) for name, values in zip("uti", zip(*rows, strict=True), strict=True)
    }
    table = pa.table(columns)
    files = [tmp_path / "rows.arrow"]
    with pa.OSFile(str(files[0]), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    limits = dict(zip(("min_len", "max_len", "num_seqs"), bounds, strict=True))
    task = {"user": "u", "files": [str(files[0])], "sort": "t", "path": str(tmp_path / "b.parquet"), "block_rows": 3}
    history_module.write_blocks({**task, **limits})
    op = UnfoldHistory("u", ("t", "i"), ("i", "t"), limits["max_len"])
    made = [row for batch in pq.read_table(task["path"]).to_batches() for row in op.apply(batch).to_pylist()]
    assert made == reference.add_hist_seq(table.to_pylist(), ["i", "t"], "u", "t", **limits)


def test_mask(make, tmp_path):
    table = make(LISTS).mask(["i", "s"], 3)
    assert table.columns == [*LISTS, "i_mask", "s_mask"]
    result = written(table, tmp_path)
    for name in ("i", "s"):
        rows = LISTS[name].to_pylist()
        assert result[f"{name}_mask"].to_pylist() == [None if row is None else reference.mask(row, 3) for row in rows]
    assert dict(table.dtypes)["i_mask"] == "array<int>"


@pytest.mark.parametrize("seq_len", [1, 3, 6])
def test_pad(make, tmp_path, seq_len):
    table = make(LISTS).pad(["i", "f", "s"], seq_len, mask_cols="i")
    assert table.columns == [*LISTS, "i_mask"]
    result = written(table, tmp_path)
    for name, token in (("i", 0), ("f", 0.0), ("s", "0")):
        rows = LISTS[name].to_pylist()
        expected = [None if row is None else reference.pad(row, seq_len, token) for row in rows]
        assert result[name].to_pylist() == expected
    assert result["i_mask"].to_pylist()[1] == [0] * seq_len  # of the length before
    assert [kind for _, kind in table.dtypes[:3]] == ["array<int>", "array<float>", "array<string>"]


def test_pad_lists_of_lists(make, tmp_path):
    result = written(make(LISTS).pad("n", 3, mask_token=9), tmp_path)
    assert result["n"].to_pylist() == [
        [[1, 2], [3], [9, 9]],
        [[], [], []],
        None,
        [[], [4], []],
        [[6], [7], [8]],
    ]


def test_pad_tokens(make, tmp_path):
    result = written(
        make(LISTS).pad("i", 4, mask_token=-1.9).pad("f", 2, mask_token=0.25).pad("s", 3, mask_token="-"), tmp_path
    )
    assert result["i"].to_pylist()[0] == [1, 2, 3, -1]
    assert result["f"].to_pylist()[0] == [0.5, 0.25]
    assert result["s"].to_pylist()[0] == ["x", "y", "-"]


def test_add_value_features(make, tmp_path):
    table = make(
        {"item": pa.array([1, 2, None, 7]), "item_list": LISTS["i"].slice(0, 4), "nested": LISTS["n"].slice(0, 4)}
    )
    pairs = make(
        {"x": pa.array([1, 2, 4, 2, None, 9], pa.int32()), "y": pa.array([10, 20, 40, 15, 5, None], pa.int32())}
    )
    added = table.add_value_features(["item", "item_list", "nested"], pairs, "item", "category")
    assert added.columns == ["item", "item_list", "nested", "category", "category_list"]
    result = written(added, tmp_path)
    assert result["category"].to_pylist() == [10, 15, None, 0]  # of two values of a key the smallest
    assert result["category_list"].to_pylist() == [[10, 15, 0], [], None, [40]]
    assert result["nested"].to_pylist() == [[[10, 15], [0]], [], None, [[], [40]]]
    assert dict(added.dtypes)["category_list"] == "array<int>"
    (step, *_), resources = added.transforms, added.parts[0].ops[0].resources
    assert set(resources) == {"dictionary"}
    assert len(step.params["sha256"]) == 64


def test_wide_keys_and_float_values(make):
    keys = [-(2**60), 3, 2**60]
    pairs = make({"k": pa.array(keys), "v": pa.array([0.5, 1.5, 2.5])})
    table = make({"k": pa.array([2**60, 4, -(2**60), 3, 2**62])}).add_value_features("k", pairs, "k", "v")
    assert sorted(table.to_list("v")) == [0.0, 0.0, 0.5, 1.5, 2.5]
    none = make({"k": pa.array([], pa.int64()), "v": pa.array([], pa.int32())})
    assert make({"k": pa.array([5])}).add_value_features("k", none, "k", "v").to_list("v") == [0]


@pytest.mark.parametrize(
    "op", [Mask("a", 3), Pad("a", 3, "x"), LookUp("a", "b", "0f", "/x"), UnfoldHistory("u", ("t", "i"), ("i",), 9)]
)
def test_json_gives_the_same_operation(op):
    assert from_json(to_json(op)) == op


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.add_hist_seq("z", "x"), r"\['z'\] do not exist in this Table"),
        (lambda t: t.add_hist_seq("i", "z", "x"), r"\['z'\] do not exist"),
        (lambda t: t.add_hist_seq("i", ["x"], "x"), r"user_col should be str, but got \['x'\]"),
        (lambda t: t.add_hist_seq("i", "i", "x"), "user_col 'i' has type list"),
        (lambda t: t.add_hist_seq("i", "x"), r"\['time'\] do not exist"),
        (lambda t: t.add_hist_seq("i", "x", "n"), "sort_col 'n' has type list"),
        (lambda t: t.add_hist_seq("i", "x", "x"), "should be two columns, but both are 'x'"),
        (
            lambda t: t.append_column("y", 1).add_hist_seq("i", "x", "y", min_len=-1),
            "min_len should be an int of at least 0",
        ),
        (
            lambda t: t.append_column("y", 1).add_hist_seq("i", "x", "y", max_len=0),
            "max_len should be an int of at least 1",
        ),
        (lambda t: t.append_column("y", 1).add_hist_seq("i", "x", "y", num_seqs=1.5), "num_seqs should be an int"),
        (lambda t: t.rename({"f": "i_hist_seq", "s": "y"}).append_column("k", 1).add_hist_seq("i", "x", "k"), "twice"),
        (lambda t: t.mask("x"), "column 'x' should be of list type, but it has type int64"),
        (lambda t: t.mask("z"), r"\['z'\] do not exist"),
        (lambda t: t.mask("i", 0), "seq_len should be an int of at least 1"),
        (lambda t: t.mask("i").mask("i"), r"\['i_mask'\] would be there twice; choose other names, or drop or rename"),
        (lambda t: t.pad("x"), "column 'x' should be of list type"),
        (lambda t: t.pad("i", True), "seq_len should be an int"),
        (lambda t: t.pad("i", mask_token=None), "mask_token should be a finite number or str, but got None"),
        (lambda t: t.pad("i", mask_token=math.nan), "mask_token should be a finite number"),
        (
            lambda t: t.pad("i", mask_token="x"),
            "Failed to convert mask_token type java.lang.String to the element type of column java.lang.Integer.*'i'",
        ),
        (lambda t: t.pad("n", mask_token="x"), "element type of column java.lang.Long"),
        (lambda t: t.pad("i", mask_token=2**40), "mask_token 1099511627776 does not fit elements of type int32.*'i'"),
        (lambda t: t.add_value_features("s", t, "a", "b"), "Unsupported data type list<.*string> of column 's'"),
        (lambda t: t.add_value_features("z", t, "a", "b"), r"\['z'\] do not exist"),
        (lambda t: t.add_value_features("x", {1: 2}, "a", "b"), "dict_tbl should be a Table, but got dict"),
        (
            lambda t: t.add_value_features("x", t, "a", "b"),
            "first two columns of dict_tbl should be integers.*'i' and 'f'",
        ),
        (lambda t: t.add_value_features("x", t.select("x"), "a", "b"), "dict_tbl should have two columns.*it has x"),
        (lambda t: t.add_value_features("x", t, "", "b"), "key and value should be str, key not empty"),
        (lambda t: t.add_value_features("x", t.select("x", "x"), "x", "i"), r"\['i'\] would be there twice"),
    ],
)
def test_wrong_arguments_are_named(make, call, message):
    with pytest.raises(RuntimeError, match=message) as caught:
        call(make(LISTS))
    assert isinstance(caught.value, InvalidInputError)


@pytest.mark.parametrize(
    "columns",
    [
        {"u": pa.array([3, 1, 3, 2], pa.uint64()), "t": pa.array([2**63 - 1, -(2**63), 0, 5])},
        {"u": pa.array([2**64 - 1, 0, 2**63, 2**63], pa.uint64()), "t": pa.array([1, 2, 4, 3], pa.int8())},
        {"u": pa.array([-5, None, -5, None], pa.int16()), "t": pa.array([None, 7, -7, 7], pa.int32())},
        {"u": pa.array(["b", "ä", None, "b"]), "t": pa.array([3, 2, 1, -1], pa.timestamp("us"))},
        {"u": pa.array([True, False, True, False]), "t": pa.array([3, 2, 1, 2], pa.date32())},
        {"u": pa.array([1, 1, 1, 1]), "t": pa.array([1, 1, 1, 1]), "x": pa.array([0.5, math.nan, -1.0, None])},
        {"u": pa.array([1, 2, 1, 2]), "t": pa.array(["b", "b", "a", None])},
        {"u": pa.array([], pa.int64()), "t": pa.array([], pa.int64())},
    ],
)
def test_packed_keys_sort_as_the_columns_do(columns):
    keyed = user_rows._nulls_first(pa.table(columns), list(columns))
    by = [(name, "ascending") for name in keyed.column_names]
    expected = keyed.take(pa.compute.sort_indices(keyed, sort_keys=by))
    found = keyed.take(pa.array(user_rows._order(keyed)))
    assert repr(found.to_pylist()) == repr(expected.to_pylist())


def test_many_bytes_and_python_functions_are_spread_over_tasks(spark, tmp_path, monkeypatch):
    pq.write_table(pa.table({"user": [1, 2, 1], "time": [1, 2, 3]}), tmp_path / "rows.parquet")
    table = FeatureTable.read_parquet(tmp_path / "rows.parquet")
    plain_ones = list(table.parts)
    assert user_rows._are_quick(plain_ones)
    assert not user_rows._are_quick(table.map_arrow("time", "later", pa.compute.negate).parts)
    assert user_rows._shards(spark, plain_ones) == 1
    monkeypatch.setattr(user_rows, "_SHARD_BYTES", 20)
    assert user_rows._shards(spark, plain_ones) > 1
    assert table.add_hist_seq("time", "user").size() == 1
