"""Negatives and samples of lists: never a positive, from a seed, the same for any partitioning."""

import math
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature import FeatureTable
from friesian_fast.feature.ops import (
    NegativeHistory,
    NegativeSamples,
    SampleListwise,
    UnfoldNegatives,
    from_json,
    to_json,
)
from friesian_fast.feature.ops import unfold as unfold_module
from friesian_fast.feature.ops.lists import row_keys
from friesian_fast.feature.ops.unfold import DRAWN

BOUGHT = {
    "user": pa.array([1, 1, 2, 2, 3, 1, 2], pa.int32()),
    "item": pa.array([1, 2, 3, None, 1, 3, 4], pa.int32()),
    "time": pa.array(range(7)),
}
HISTORIES = {
    "item": pa.array([7, 8, 9, 6, 5]),
    "hist": pa.array([[1, 2, 2], [], None, [3, None], [4]], pa.list_(pa.int16())),
    "score": pa.array([[0.1, 0.2, 0.3], [], None, [0.4, 0.5], [0.6]]),
}


def written(table, tmp_path):
    table.write_parquet(tmp_path / "out")
    return pq.read_table(tmp_path / "out")


def by_time(rows):
    return sorted(rows, key=lambda row: row["time"])


def test_add_negative_samples(make, tmp_path):
    table = make(BOUGHT).add_negative_samples(6, neg_num=3)
    assert table.columns == ["user", "time", "item", "label"]
    assert [kind for _, kind in table.dtypes] == ["int", "bigint", "int", "int"]
    assert table.size() == 28
    assert table.transforms == ()
    result = written(table, tmp_path)
    rows = result.to_pylist()
    assert sorted(map(repr, rows)) == sorted(repr(row.asDict()) for row in table.collect())
    assert result["label"].to_pylist() == [0, 0, 0, 1] * 7
    assert [row["item"] for row in by_time(rows[3::4])] == BOUGHT["item"].to_pylist()
    for start in range(0, 28, 4):
        negatives, positive = [row["item"] for row in rows[start : start + 3]], rows[start + 3]
        assert all(1 <= item <= 5 and item != positive["item"] for item in negatives)
        assert {row["time"] for row in rows[start : start + 4]} == {positive["time"]}
    assert len({row["item"] for row in rows if row["label"] == 0}) == 5


def test_negatives_are_none_of_the_users_items(make, tmp_path):
    table = make(BOUGHT).add_negative_samples(7, "item", "clicked", 60, user_col="user", seed=3)
    assert table.columns == ["user", "time", "item", "clicked"]
    assert table.size() == 427
    rows = written(table, tmp_path).to_pylist()
    allowed = {1: {4, 5, 6}, 2: {1, 2, 5, 6}, 3: {2, 3, 4, 5, 6}}
    for user, items in allowed.items():
        mine = [row for row in rows if row["user"] == user]
        assert {row["item"] for row in mine if row["clicked"] == 0} == items
        assert [row["clicked"] for row in mine] == ([0] * 60 + [1]) * (len(mine) // 61)
        positives = [row["item"] or 0 for row in mine if row["clicked"] == 1]
        assert positives == sorted(positives)  # by the table's other columns from left to right, null first


def test_what_follows_sees_the_rows_made(make):
    table = make(BOUGHT).add_negative_samples(9).append_column("one", 1).add("label", 1)
    assert table.select("one").to_list("one") == [1] * 14
    assert Counter(table.to_list("label")) == {1: 7, 2: 7}
    assert table.select("label").size() == 14
    assert table.get_stats("label", ["min", "max"]) == {"label": [1, 2]}


@pytest.mark.parametrize("exclude", ["history", "element"])
def test_add_neg_hist_seq(make, tmp_path, exclude):
    table = make(HISTORIES).add_neg_hist_seq(6, "hist", 4, exclude=exclude)
    assert table.columns == ["item", "hist", "score", "neg_hist"]
    assert table.dtypes[-1] == ("neg_hist", "array<array<smallint>>")
    result = written(table, tmp_path)
    assert sorted(map(repr, result["neg_hist"].to_pylist())) == sorted(map(repr, table.to_list("neg_hist")))
    seen = set()
    for history, negatives in zip(result["hist"].to_pylist(), result["neg_hist"].to_pylist(), strict=True):
        assert (history is None) == (negatives is None)
        assert len(history or []) == len(negatives or [])
        for element, drawn in zip(history or [], negatives or [], strict=True):
            assert len(drawn) == 4
            assert all(1 <= item <= 5 for item in drawn)
            assert not set(drawn) & (set(history) if exclude == "history" else {element})
            seen.update((element, item) for item in drawn)
    assert ((1, 2) in seen or (2, 1) in seen) == (exclude == "element")


def test_sample_listwise(make, tmp_path):
    sampled = make(HISTORIES).sample_listwise(["hist", "score"], 3, 2, random_seed=1)
    assert sampled.columns == ["item", "hist", "score"]
    assert sampled.size() == 6  # of the two rows whose lists are long enough
    pairs = {(1, 0.1), (2, 0.2), (2, 0.3), (3, 0.4), (None, 0.5)}
    for row in written(sampled, tmp_path).to_pylist():
        assert len(set(row["score"])) == 2
        assert set(zip(row["hist"], row["score"], strict=True)) <= pairs
    kept = written(make(HISTORIES).sample_listwise("hist", 1, 1, replace=False), tmp_path)
    assert kept.column_names == ["item", "hist", "score", "sampled_hist"]
    assert all(row["sampled_hist"][0] in row["hist"] for row in kept.to_pylist())
    assert kept.num_rows == 3


@pytest.mark.parametrize(
    "call",
    [
        lambda t, seed: t.add_negative_samples(50, neg_num=3, seed=seed),
        lambda t, seed: t.add_negative_samples(50, neg_num=3, seed=seed, user_col="user"),
        lambda t, seed: t.add_neg_hist_seq(50, "hist", 2, seed=seed),
        lambda t, seed: t.add_neg_hist_seq(50, "hist", 2, seed=seed, exclude="element"),
        lambda t, seed: t.sample_listwise("hist", 2, 3, random_seed=seed),
    ],
)
def test_the_cut_changes_nothing_and_the_seed_much(spark, tmp_path, call):
    rows = pa.table(
        {
            "user": pa.array([i % 3 for i in range(30)]),
            "item": pa.array([i % 11 for i in range(30)], pa.int32()),
            "hist": pa.array([list(range(i % 7)) for i in range(30)], pa.list_(pa.int64())),
            "when": pa.array([i * 0.5 for i in range(30)]),
            "name": pa.array([None if i % 5 == 0 else f"n{i}" for i in range(30)]),
        }
    )
    tables = [FeatureTable(spark.createDataFrame(rows).coalesce(1))]
    for cuts in ([30], [1, 29], [7, 7, 16]):
        directory = tmp_path / "-".join(map(str, cuts))
        directory.mkdir()
        start = 0
        for i, size in enumerate(cuts):
            pq.write_table(rows.slice(start, size), directory / f"{i}.parquet", row_group_size=4)
            start += size
        tables.append(FeatureTable.read_parquet(directory))
    results = [written(call(table, 0), tmp_path).to_pylist() for table in tables]
    assert all(result == results[0] for result in results[1:])
    assert written(call(tables[1], 1), tmp_path).to_pylist() != results[0]


def test_keys_go_by_values_not_by_how_they_are_kept():
    values = {
        "float": [1.5, None, math.inf],
        "list": [[1, 2], None, []],
        "date": [1, None, 2],
        "struct": [{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}],
        "bytes": [b"\xff", None, b""],
    }
    ways = [
        [
            pa.float32(),
            pa.list_(pa.int8()),
            pa.date32(),
            pa.struct([("a", pa.int8()), ("b", pa.string())]),
            pa.binary(),
        ],
        [
            pa.float64(),
            pa.large_list(pa.int64()),
            pa.date32(),
            pa.struct([("a", pa.int64()), ("b", pa.large_string())]),
            pa.large_binary(),
        ],
    ]
    keys = []
    for kinds in ways:
        columns = {name: pa.array(one, kind) for (name, one), kind in zip(values.items(), kinds, strict=True)}
        batch = pa.record_batch(columns)
        keys.append(row_keys(batch, list(columns), 9).tolist())
        assert row_keys(batch.slice(1, 2), list(columns), 9).tolist() == keys[-1][1:]
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 3


def test_pieces_change_nothing(monkeypatch):
    batch = pa.record_batch(HISTORIES)
    ops = [
        NegativeHistory("hist", ("item", "hist"), 20, 2, 0, False),
        SampleListwise(("hist", "score"), ("item",), 2, 1, 5, False),
        NegativeSamples("item", "label", ("item",), 20, 2, 0),
    ]
    whole = [op.apply(batch).to_pylist() for op in ops]
    monkeypatch.setattr(unfold_module, "PIECE_VALUES", 5)
    for op, expected in zip(ops, whole, strict=True):
        pieces = list(op.stream(batch))
        assert len(pieces) > 1
        assert pa.Table.from_batches(pieces).to_pylist() == expected
        assert op.apply(batch.slice(0, 0)).schema == pieces[0].schema


def test_negatives_of_a_slice():
    drawn = pa.array([[9], [8, 7], [], [6]])
    batch = pa.record_batch({"item": pa.array([1, 2, 3, 4]), DRAWN: drawn}).slice(1)
    made = UnfoldNegatives("item", "label").apply(batch)
    assert made.to_pydict() == {"item": [8, 7, 2, 3, 6, 4], "label": [0, 0, 1, 1, 0, 1]}


@pytest.mark.parametrize(
    "op",
    [
        NegativeHistory("h", ("a", "h"), 20, 2, 7, True),
        SampleListwise(("h",), ("a",), 2, 1, 5, False),
        NegativeSamples("i", "l", ("a", "i"), 20, 2, 0),
        UnfoldNegatives("i", "l"),
    ],
)
def test_json_gives_the_same_operation(op):
    assert from_json(to_json(op)) == op


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.add_neg_hist_seq(5, "hist", 1), "column 'hist': a row has no possible negative.*from 1 to 4"),
        (lambda t: t.add_negative_samples(5, user_col="user"), "columns 'user' and 'item': a row has no possible"),
        (
            lambda t: t.sample_listwise(["hist", "other"], 1, 1),
            "Each row of the FeatureTable should have the same array",
        ),
    ],
)
def test_rows_that_cannot_be_drawn_for_leave_nothing_written(tmp_path, spark, call, message):
    columns = {
        "user": pa.array([1, 1, 1, 1]),
        "item": pa.array([1, 2, 3, 4]),
        "hist": pa.array([[1, 2], [1], [], [4, 3, 2, 1]], pa.list_(pa.int32())),
        "other": pa.array([[1, 2], [1], [], None], pa.list_(pa.int32())),
    }
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    with pytest.raises(InvalidInputError, match=message):
        call(FeatureTable.read_parquet(tmp_path / "in.parquet")).write_parquet(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.add_negative_samples(2), "item_size should be an int of at least 3, but got 2"),
        (lambda t: t.add_negative_samples(9, "hist"), "Unsupported data type list<.*int16> of column 'hist'"),
        (lambda t: t.add_negative_samples(9, "z"), r"\['z'\] do not exist in this Table"),
        (lambda t: t.add_negative_samples(9, None), "item_col should be str, but got None"),
        (lambda t: t.add_negative_samples(9, label_col="score"), r"\['score'\] would be there twice"),
        (lambda t: t.add_negative_samples(9, label_col=1), "label_col should be str"),
        (lambda t: t.add_negative_samples(9, neg_num=0), "neg_num should be an int of at least 1"),
        (lambda t: t.add_negative_samples(9, seed="a"), "seed should be an int, but got 'a'"),
        (lambda t: t.add_negative_samples(9, user_col="item"), "should be two columns, but both are 'item'"),
        (lambda t: t.add_negative_samples(9, user_col="score"), "user_col 'score' has type list"),
        (lambda t: t.add_negative_samples(2**63 + 1), "item_size 9223372036854775809 does not fit items of type int64"),
        (lambda t: t.add_neg_hist_seq(2, "hist", 1), "item_size should be an int of at least 3"),
        (
            lambda t: t.add_neg_hist_seq(9, "item", 1),
            "Unsupported data type int64 of column 'item' in add_neg_hist_seq",
        ),
        (lambda t: t.add_neg_hist_seq(9, "score", 1), "it should hold lists of integers"),
        (lambda t: t.add_neg_hist_seq(2**15 + 1, "hist", 1), "item_size 32769 does not fit items of type int16"),
        (lambda t: t.add_neg_hist_seq(9, "hist", 1, exclude="all"), "exclude should be history or element"),
        (lambda t: t.rename({"score": "neg_hist"}).add_neg_hist_seq(9, "hist", 1), r"\['neg_hist'\] would be there"),
        (lambda t: t.sample_listwise(["hist", "z"], 1, 1), "Column 'z' does not exist in this FeatureTable."),
        (
            lambda t: t.sample_listwise("item", 1, 1),
            "Each column should be of list type, but the type of column 'item' is bigint",
        ),
        (lambda t: t.sample_listwise([], 1, 1), "columns is empty"),
        (lambda t: t.sample_listwise(None, 1, 1), "columns should be str or a list of str"),
        (lambda t: t.sample_listwise("hist", 0, 1), "num_sampled_list should be an int of at least 1"),
        (lambda t: t.sample_listwise("hist", 1, True), "num_sampled_item should be an int"),
        (lambda t: t.sample_listwise("hist", 1, 1, "x"), "random_seed should be an int"),
        (
            lambda t: t.rename({"score": "sampled_hist"}).sample_listwise("hist", 1, 1, replace=False),
            r"\['sampled_hist'\] would be there twice",
        ),
    ],
)
def test_wrong_arguments_are_named(make, call, message):
    with pytest.raises(RuntimeError, match=message) as caught:
        call(make(HISTORIES))
    assert isinstance(caught.value, InvalidInputError)
