"""Which rows are kept, in which order, in how many partitions."""

import math

import pyarrow as pa
import pytest

from friesian_fast.errors import InvalidInputError

COLUMNS = {
    "k": pa.array([1, 2, 2, 3, 3, 3, None, None, 2], pa.int32()),
    "t": pa.array(["a", "b", "b", None, "c", "c", "a", None, "b"]),
    "d": pa.array([1.0, 2.0, 2.0, math.nan, None, 5.0, 6.0, None, 2.5]),
}
ROWS = list(zip(*(values.to_pylist() for values in COLUMNS.values()), strict=True))


def ordered(rows):
    return sorted(map(repr, rows))


def same(table, rows):
    return ordered(tuple(row) for row in table.collect()) == ordered(rows)


def test_limit(make):
    table = make(COLUMNS)
    assert table.limit(4).size() == 4
    assert table.limit(0).collect() == []
    assert same(table.limit(100), ROWS)
    assert table.limit(2).columns == list(COLUMNS)


def test_partitions(make):
    table = make(COLUMNS).repartition(5)
    assert table.df.rdd.getNumPartitions() == 5
    assert table.coalesce(2).df.rdd.getNumPartitions() == 2
    assert table.coalesce(9).df.rdd.getNumPartitions() == 5
    assert same(table.coalesce(2), ROWS)


def test_get_partition_row_number(make):
    table = make(COLUMNS)
    counted = table.get_partition_row_number()
    assert counted.dtypes == [("partitionId", "int"), ("count", "bigint")]
    assert sum(counted.to_list("count")) == len(ROWS)
    assert table.repartition(1).get_partition_row_number().collect() == [(0, len(ROWS))]


def test_distinct(make):
    assert same(make(COLUMNS).distinct(), {repr(row): row for row in ROWS}.values())


def test_filter_by_text_and_by_column(make):
    table = make(COLUMNS)
    twos = [row for row in ROWS if row[0] == 2]
    assert same(table.filter("k = 2"), twos)
    assert same(table.filter(table.k == 2), twos)
    assert same(table.select("k", "t").filter(table.k == 2), [row[:2] for row in twos])
    assert same(
        table.clip("k", max=2).filter(table.col("k") == 2).select("t"), [row[1:2] for row in ROWS[1:6] + ROWS[8:]]
    )
    assert same(table.filter(table.t.isNull() & table.k.isNotNull()), [ROWS[3]])


def test_intersect_and_subtract(make):
    table, other = make(COLUMNS).select("k", "t"), make(COLUMNS).select("k", "t").filter("k = 2 or t is null")
    pairs = {row[:2] for row in ROWS}
    kept = {pair for pair in pairs if pair[0] == 2 or pair[1] is None}
    assert same(table.intersect(other), kept)
    assert same(table.subtract(other), pairs - kept)
    assert table.subtract(other).columns == ["k", "t"]


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        ({"columns": "k"}, [0, 1, 2, 3, 4, 5, 8]),
        ({"columns": None}, [0, 1, 2, 5, 8]),
        ({"columns": ["k", "t"], "how": "all"}, [0, 1, 2, 3, 4, 5, 6, 8]),
        ({"columns": None, "thresh": 2}, [0, 1, 2, 4, 5, 6, 8]),
        ({"columns": ["k", "t"], "how": "all", "thresh": 2}, [0, 1, 2, 4, 5, 8]),
    ],
)
def test_dropna(make, arguments, kept):
    assert same(make(COLUMNS).dropna(**arguments), [ROWS[i] for i in kept])


def test_random_split(make):
    table = make({"n": pa.array(range(400))})
    first, second = table.random_split([3, 1], seed=7)
    assert sorted(first.to_list("n") + second.to_list("n")) == list(range(400))
    assert 240 < first.size() < 360
    again, _ = table.split([0.75, 0.25], seed=7)
    assert sorted(again.to_list("n")) == sorted(first.to_list("n"))
    other, _ = table.split([0.75, 0.25], seed=8)
    assert sorted(other.to_list("n")) != sorted(first.to_list("n"))


def test_sample(make):
    table = make({"n": pa.array(range(400))})
    sample = table.sample(0.5, seed=3).to_list("n")
    assert 140 < len(sample) < 260
    assert len(set(sample)) == len(sample)
    assert sorted(table.sample(0.5, seed=3).to_list("n")) == sorted(sample)
    drawn = table.sample(2.0, replace=True, seed=3).to_list("n")
    assert 600 < len(drawn) < 1000
    assert len(set(drawn)) < len(drawn)
    assert table.sample(0.0).size() == 0


def test_ordinal_shuffle_partition(make):
    table = make({"ordinal": pa.array(range(200)), "p": pa.array([0] * 200)})
    shuffled = table.ordinal_shuffle_partition(seed=1)
    values = shuffled.to_list("ordinal")
    assert shuffled.columns == ["ordinal", "p"]
    assert sorted(values) == list(range(200))
    assert values != table.to_list("ordinal")
    assert table.ordinal_shuffle_partition(seed=1).to_list("ordinal") == values
    assert table.ordinal_shuffle_partition().to_list("ordinal") != values
    before, after = table.get_partition_row_number(), shuffled.get_partition_row_number()
    assert sorted(before.to_list("count")) == sorted(after.to_list("count"))


def test_sort(make):
    table = make(COLUMNS).select("k", "t")
    pairs = [row[:2] for row in ROWS]

    def key(value):
        return (value is not None, value or 0)

    rising = sorted(pairs, key=lambda row: (key(row[0]), row[1] is not None, row[1] or ""))
    assert list(map(tuple, table.sort("k", "t").collect())) == rising
    assert list(map(tuple, table.order_by(["k", "t"], ascending=False).collect())) == rising[::-1]
    mixed = sorted(
        sorted(pairs, key=lambda row: (row[1] is not None, row[1] or "")), key=lambda row: key(row[0]), reverse=True
    )
    assert list(map(tuple, table.sort("k", "t", ascending=[False, True]).collect())) == mixed
    assert list(map(tuple, table.sort(table.k.desc(), table.t).collect())) == mixed


@pytest.mark.parametrize(("keep", "value"), [("min", 1), ("max", 9)])
def test_drop_duplicates_breaks_ties_by_the_other_columns(make, keep, value):
    columns = {"id": [1, 1, 1, 2], "rank": [5, 5, 5, 5], "x": [9, 1, 4, value], "m": [[1], [2], [3], [4]]}
    kept = make(columns).drop_duplicates("id", sort_cols="rank", keep=keep)
    assert kept.columns == ["id", "rank", "x", "m"]
    assert sorted((row.id, row["rank"], row.x) for row in kept.collect()) == [(1, 5, value), (2, 5, value)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.limit(-1), "num should be an int of at least 0, but got -1"),
        (lambda t: t.repartition(0), "num_partitions should be an int of at least 1"),
        (lambda t: t.coalesce("2"), "num_partitions should be an int of at least 1, but got '2'"),
        (lambda t: t.filter("nothing > 1"), "filter: .*nothing"),
        (lambda t: t.filter("k >"), "filter: .*PARSE_SYNTAX_ERROR"),
        (lambda t: t.filter(3), "filter: "),
        (lambda t: t.intersect([1]), "other should be a Table, but got list"),
        (lambda t: t.subtract(t.select("k")), "other has the columns k, not as many as k, t, d"),
        (lambda t: t.dropna("x"), r"\['x'\] do not exist in this Table"),
        (lambda t: t.dropna(None, how="some"), "how should be any or all, but got some"),
        (lambda t: t.dropna(None, thresh="2"), "thresh should be an int"),
        (lambda t: t.random_split([1, -1]), "weights should be a list of numbers, none negative"),
        (lambda t: t.split([]), "weights should be a list of numbers"),
        (lambda t: t.sample(1.5), "fraction should be a number from 0 to 1, but got 1.5"),
        (lambda t: t.sort(), "cols should be str or a list of str, but got None."),
        (lambda t: t.sort("x"), r"\['x'\] do not exist in this Table"),
        (lambda t: t.order_by("k", "t", ascending=[True]), "ascending has 1 values for 2 columns"),
    ],
)
def test_wrong_arguments_are_named(make, call, message):
    with pytest.raises(InvalidInputError, match=message):
        call(make(COLUMNS))
