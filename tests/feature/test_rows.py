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


DRAWN = {"n": pa.array(range(400)), "t": pa.array([f"v{n % 7}" for n in range(400)]), "l": pa.array([[1], None] * 200)}


def test_random_split(make):
    table = make(DRAWN)
    first, second = table.random_split([3, 1], seed=7)
    assert first.columns == second.columns == ["n", "t", "l"]
    assert sorted(first.to_list("n") + second.to_list("n")) == list(range(400))
    assert 240 < first.size() < 360
    again, _ = table.split([0.75, 0.25], seed=7)
    assert sorted(again.to_list("n")) == sorted(first.to_list("n"))
    other, _ = table.split([0.75, 0.25], seed=8)
    assert sorted(other.to_list("n")) != sorted(first.to_list("n"))
    nothing, everything = table.random_split([0, 2])
    assert (nothing.size(), everything.size()) == (0, 400)
    thirds, tenths = table.random_split([0.7, 0.2, 0.1]), table.random_split([7, 2, 1])
    assert [sorted(part.to_list("n")) for part in thirds] == [sorted(part.to_list("n")) for part in tenths]


def test_sample(make):
    table = make(DRAWN)
    sample = table.sample(0.5, seed=3).to_list("n")
    assert 140 < len(sample) < 260
    assert len(set(sample)) == len(sample)
    assert sorted(table.sample(0.5, seed=3).to_list("n")) == sorted(sample)
    assert table.sample(0.0).size() == table.sample(0.0, replace=True).size() == 0
    assert table.sample(1).size() == 400


def test_the_named_columns_decide(make):
    table = make(DRAWN)
    some = table.sample(0.5, columns="t")
    kept = set(some.to_list("t"))
    assert 0 < len(kept) < 7
    assert some.size() == sum(text in kept for text in DRAWN["t"].to_pylist())
    wide, narrow = table.random_split([1, 1], columns=["n"])[0], table.select("n").random_split([1, 1])[0]
    assert sorted(wide.to_list("n")) == sorted(narrow.to_list("n"))


def test_equal_floats_are_drawn_alike(make):
    kept = make({"x": pa.array([0.0, -0.0, math.nan, -math.nan] * 2), "n": pa.array(range(8))})
    for seed in range(8):
        drawn = [str(abs(x)) for x in kept.sample(0.5, seed=seed, columns="x").to_list("x")]
        assert drawn.count("0.0") in (0, 4)
        assert drawn.count("nan") in (0, 4)


@pytest.mark.parametrize("mean", [0.3, 2.0, 40.0])
def test_sample_with_replacement_is_of_a_poisson_distribution(make, mean):
    drawn = make(DRAWN).sample(mean, replace=True, seed=3).to_list("n")
    times = [drawn.count(n) for n in range(400)]
    assert sum(times) == len(drawn) == pytest.approx(400 * mean, rel=6 / math.sqrt(400 * mean))
    spread = sum((count - mean) ** 2 for count in times) / 400
    assert spread == pytest.approx(mean, rel=0.35)


def test_draws_are_the_same_for_any_partitioning(spark, rows_of):
    from friesian_fast.feature import FeatureTable

    frame = spark.createDataFrame(pa.table(DRAWN))
    one, three = FeatureTable(frame.coalesce(1)), FeatureTable(frame.repartition(3, "t"))
    for draw in (
        lambda table: table.random_split([0.8, 0.2])[1],
        lambda table: table.sample(0.3, seed=1),
        lambda table: table.sample(1.5, replace=True, seed=1),
        lambda table: table.drop("n").drop_duplicates("t"),
        lambda table: table.drop_duplicates(["t", "l"], keep="max"),
    ):
        assert rows_of(draw(one)) == rows_of(draw(three))


def test_a_draw_of_what_was_drawn_is_another(make):
    table = make(DRAWN)
    half = table.random_split([1, 1])[0]
    quarter = half.random_split([1, 1])[0].size()
    assert 60 < quarter < 140
    assert 60 < half.filter("n >= 0").sample(0.5).size() < 140
    rest = table.subtract(table.drop("l").sample(0.5).join(table, ["n", "t"]).select("n", "t", "l"))
    assert 150 < rest.size() < 250
    assert 60 < rest.sample(0.5).size() < 140
    again = table.select("n").subtract(table.select("n").sample(0.5))
    assert 60 < again.sample(0.5).size() < 140


def test_draws_are_no_steps_of_a_spec(make):
    table = make({"x": pa.array([1.0, 2.0, 3.0])}).log("x")
    one, other = table.random_split([1, 1])
    assert one.concat(other).transforms == table.concat(table.sample(0.5)).transforms == table.transforms


def test_ordinal_shuffle_partition(make):
    table = make({"ordinal": pa.array(range(200)), "p": pa.array([0] * 200), "m": pa.array([{"a": 1}] * 200)})
    shuffled = table.ordinal_shuffle_partition(seed=1)
    values = shuffled.to_list("ordinal")
    assert shuffled.columns == ["ordinal", "p", "m"]
    assert sorted(values) == list(range(200))
    assert values != table.to_list("ordinal")
    assert table.ordinal_shuffle_partition(seed=1).to_list("ordinal") == values
    assert table.ordinal_shuffle_partition().to_list("ordinal") != values
    before, after = table.get_partition_row_number(), shuffled.get_partition_row_number()
    assert sorted(before.to_list("count")) == sorted(after.to_list("count"))


def test_a_shuffled_partition_does_not_depend_on_the_order_before(spark):
    from friesian_fast.feature import FeatureTable

    frame = spark.createDataFrame(pa.table(DRAWN)).coalesce(1)
    upwards, downwards = (FeatureTable(frame.sortWithinPartitions(by)) for by in (frame.n.asc(), frame.n.desc()))
    assert upwards.ordinal_shuffle_partition().to_list("n") == downwards.ordinal_shuffle_partition().to_list("n")


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
        (lambda t: t.random_split([math.inf, 1]), "weights should be a list of numbers, none negative"),
        (lambda t: t.random_split([1, 1], columns="no"), r"\['no'\] do not exist"),
        (lambda t: t.sample(math.nan), "fraction should be a number from 0 to 1, but got nan"),
        (lambda t: t.random_split([1, 1], seed="a"), "seed should be an int, but got 'a'"),
        (lambda t: t.sample(1.5), "fraction should be a number from 0 to 1, but got 1.5"),
        (lambda t: t.sample(1e6, replace=True), "fraction should be a number from 0 to 1000, but got 1000000.0"),
        (lambda t: t.sort(), "cols should be str or a list of str, but got None."),
        (lambda t: t.sort("x"), r"\['x'\] do not exist in this Table"),
        (lambda t: t.order_by("k", "t", ascending=[True]), "ascending has 1 values for 2 columns"),
    ],
)
def test_wrong_arguments_are_named(make, call, message):
    with pytest.raises(InvalidInputError, match=message):
        call(make(COLUMNS))
