"""FeatureTable: what is recorded gives the same rows through the native stage and as a Spark DataFrame."""

import collections

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature import FeatureTable, StringIndex
from friesian_fast.spec import FeatureSpec, Transform
from friesian_fast.usecases.recsys2021.raw_features import token_count

N = 200
ROWS = {
    "name": [None if i % 17 == 0 else f"n{i * i % 23}" for i in range(N)],
    "other": [None if i % 13 == 0 else f"n{i % 9}" for i in range(N)],
    "tags": ["" if i % 11 == 0 else None if i % 7 == 0 else "\t".join(f"t{j}" for j in range(i % 5)) for i in range(N)],
    "count": [None if i % 19 == 0 else i * 3 for i in range(N)],
    "flag": [i % 3 == 0 for i in range(N)],
    "score": [i / 4 for i in range(N)],
}


@pytest.fixture
def path(tmp_path):
    """Three files, one of them with several row groups."""
    table = pa.table(ROWS)
    (tmp_path / "raw").mkdir()
    for number, (start, rows, group) in enumerate([(0, 50, 50), (50, 120, 40), (170, 30, 30)]):
        pq.write_table(table.slice(start, rows), tmp_path / "raw" / f"part-{number}.parquet", row_group_size=group)
    return tmp_path / "raw"


@pytest.fixture
def table(spark, path):
    return FeatureTable.read_parquet(path)


def read(path):
    return pq.read_table(path).to_pydict()


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def require_same_in_spark(table, expected):
    """The same rows; Spark does not promise their order."""
    rows = [tuple(row) for row in table.df.collect()]
    assert table.df.columns == list(expected)
    assert sorted(rows, key=repr) == sorted(zip(*expected.values(), strict=True), key=repr)


def by_count(values):
    """Ids by descending count, then by value."""
    counts = collections.Counter(value for value in values if value is not None)
    return {value: i for i, value in enumerate(sorted(counts, key=lambda v: (-counts[v], v.encode())), start=1)}


def tokens_of(text):
    return [] if text is None else text.split("\t")


def test_what_is_read_is_there(table):
    assert table.columns == list(ROWS)
    assert table.size() == N
    require_same_in_spark(table, ROWS)


def test_one_stage_equals_the_definitions(table, tmp_path):
    index, tags = table.gen_string_idx("name"), table.gen_string_idx("tags", do_split=True, sep="\t")
    done = (
        table.encode_string("name", index)
        .encode_string("tags", tags, do_split=True, sep="\t", keep_most_frequent=True)
        .fillna(0, ["name", "tags"])
        .cast("flag", "int")
        .cut_bins("count", [10, 100, 300])
        .map_arrow("other", "length", token_count)
        .rename({"other": "friend"})
        .drop("nothing")
        .append_column("one", 1)
    )
    name_ids = by_count(ROWS["name"])
    tag_ids = by_count([token for text in ROWS["tags"] for token in tokens_of(text)])
    expected = {
        "friend": ROWS["other"],
        "flag": [int(flag) for flag in ROWS["flag"]],
        "score": ROWS["score"],
        "name": [name_ids.get(name, 0) for name in ROWS["name"]],
        "tags": [min((tag_ids[token] for token in tokens_of(text)), default=0) for text in ROWS["tags"]],
        "count_bin": [4 if c is None else sum(c >= edge for edge in (10, 100, 300)) for c in ROWS["count"]],
        "length": [None if name is None else 1 for name in ROWS["other"]],
        "one": [1] * N,
    }
    assert done.columns == list(expected)
    done.write_parquet(tmp_path / "out")
    assert read(tmp_path / "out") == expected
    require_same_in_spark(done, expected)
    assert names(tmp_path) == ["out", "raw"]
    assert (tmp_path / "out" / "_SUCCESS").is_file()


def test_a_dataframe_gives_the_same_as_files(spark, table, path, tmp_path):
    frame = FeatureTable(spark.read.parquet(str(path)))
    results = []
    for one in (table, frame):
        encoded, indices = one.category_encode(["name", {"src_cols": ["name", "other"], "col_name": "both"}])
        scaled, bounds = encoded.fillna(7, "count").min_max_scale(["score", "count"])
        crossed = scaled.hash_encode("flag", 5).cross_columns([["flag", "score"]], [50])
        crossed.write_parquet(tmp_path / "out")
        rows = sorted(map(str, pq.read_table(tmp_path / "out").to_pylist()))
        results.append((crossed.columns, rows, bounds, [index.to_dict() for index in indices]))
    assert results[0] == results[1]
    assert results[0][3] == [by_count(ROWS["name"]), by_count(ROWS["name"] + ROWS["other"])]
    assert results[0][2] == {"score": (0.0, (N - 1) / 4), "count": (3.0, (N - 1) * 3.0)}


def test_vocabularies(table, tmp_path):
    names, tags = table.gen_string_idx(["name", "tags"], freq_limit={"name": 9})
    counts = collections.Counter(ROWS["name"])
    frequent = [name for name in by_count(ROWS["name"]) if counts[name] >= 9]
    assert names.to_dict() == {name: i for i, name in enumerate(frequent, start=1)}
    assert tags.to_dict() == by_count(ROWS["tags"])
    assert names.size() == len(frequent)
    names.write_parquet(tmp_path / "indices")
    again = StringIndex.read_parquet(tmp_path / "indices" / "name.parquet")
    assert (again.col_name, again.to_dict()) == ("name", names.to_dict())
    assert {row["name"]: row["id"] for row in names.df.collect()} == names.to_dict()
    assert StringIndex(names.df, "name").to_dict() == names.to_dict()


def test_fixed_dictionaries(table, tmp_path):
    encoded = table.select("name").encode_string("name", {"n1": 5, "n2": 0})
    encoded.write_parquet(tmp_path / "out")
    assert read(tmp_path / "out")["name"] == [{"n1": 5, "n2": 0}.get(name) for name in ROWS["name"]]


def test_two_vocabularies_of_one_name_are_told_apart(table):
    small, large = table.gen_string_idx("name", freq_limit=9), table.gen_string_idx("name")
    done = table.rename({"other": "b"}).encode_string(["name", "b"], [small, large])
    assert len(done.vocabularies) == 2
    assert [t.params["vocabulary"] for t in done.transforms if t.op == "encode_vocabulary"] == list(done.vocabularies)


def test_the_plan_is_the_specs(table):
    index = table.gen_string_idx("name")
    done = table.encode_string("name", index).drop("tags").hash_encode("other", 9).select("name", "other")
    assert done.transforms == (
        Transform(op="encode_vocabulary", inputs=("name",), outputs=("name",), params={"vocabulary": "name"}),
        Transform(op="hash_bucket", inputs=("other",), outputs=("other",), params={"bins": 9, "method": "md5"}),
    )
    pinned = {name: file.pinned for name, file in done.vocabularies.items()}
    spec = FeatureSpec(name="x", row_sets=(), model_inputs=(), transforms=done.transforms, vocabularies=pinned)
    assert FeatureSpec.from_json(spec.to_json()) == spec
    assert pinned["name"].size == index.size()


def test_concat(table, tmp_path):
    a = table.select("name", "count").rename({"count": "n"})
    b = table.select("score", "name")
    inner = a.concat(b)
    assert inner.columns == ["name"]
    assert inner.size() == 2 * N
    outer = a.concat([b], mode="outer")
    outer.write_parquet(tmp_path / "out")
    written = read(tmp_path / "out")
    assert list(written) == ["score", "name", "n"]
    assert written["n"] == [None] * N + ROWS["count"]
    assert written["score"] == ROWS["score"] + [None] * N
    assert inner.gen_string_idx("name").to_dict() == by_count(ROWS["name"])
    with pytest.raises(InvalidInputError, match=r"column 'name' has type .* in one table"):
        a.concat(b.cast("score", "int").drop("name").rename({"score": "name"}))
    with pytest.raises(InvalidInputError, match="either outer or inner,but got left"):
        a.concat(b, mode="left")


@pytest.mark.parametrize("shard_rows", [2_000_000, 30], ids=["one-shard", "shards"])
def test_drop_duplicates(table, tmp_path, monkeypatch, shard_rows):
    monkeypatch.setattr("friesian_fast.feature.distinct._SHARD_ROWS", shard_rows)
    few = table.select("flag", "other").concat(table.select("flag", "other"))
    few.drop_duplicates().write_parquet(tmp_path / "out")
    rows = pq.read_table(tmp_path / "out").to_pylist()
    expected = set(zip(ROWS["flag"], ROWS["other"], strict=True))
    assert len(rows) == len(expected)
    assert {(row["flag"], row["other"]) for row in rows} == expected
    assert few.drop_duplicates().size() == len(expected)
    assert few.drop_duplicates().cast("flag", "int").size() == len(expected)
    assert names(tmp_path) == ["out", "raw"]


def test_distinct_rows_count_those_that_steps_made(spark, tmp_path, monkeypatch):
    monkeypatch.setattr("friesian_fast.feature.distinct._SHARD_ROWS", 10)
    pq.write_table(pa.table({"item": [i % 7 + 1 for i in range(10)], "x": range(10)}), tmp_path / "rows.parquet")
    made = FeatureTable.read_parquet(tmp_path / "rows.parquet").add_negative_samples(9, "item", neg_num=7)
    made.select("x", "label").drop_duplicates().write_parquet(tmp_path / "out")
    found = pq.read_table(tmp_path / "out").to_pylist()
    assert sorted((row["x"], row["label"]) for row in found) == [(x, label) for x in range(10) for label in (0, 1)]
    assert len(list((tmp_path / "out").glob("part-*.parquet"))) > 1


def test_distinct_rows_with_lists_and_floats(spark, tmp_path):
    columns = {"x": [0.0, -0.0, 1.0, 1.0, None, None], "l": [[1], [1], [2], [3], None, None]}
    kinds = {"s": pa.array([{"a": 1}] * 6)}
    pq.write_table(pa.table({**columns, **kinds}), tmp_path / "rows.parquet")
    table = FeatureTable.read_parquet(tmp_path / "rows.parquet").drop_duplicates()
    table.write_parquet(tmp_path / "out")
    found = pq.read_table(tmp_path / "out").to_pydict()
    expected = [(0.0, [1]), (1.0, [2]), (1.0, [3]), (None, None)]
    assert sorted(zip(found["x"], found["l"], strict=True), key=repr) == sorted(expected, key=repr)
    assert table.size() == 4


def test_directories_partitioned_by_a_column(spark, tmp_path):
    for k in (1, 2):
        (tmp_path / "rows" / f"k={k}").mkdir(parents=True)
        pq.write_table(pa.table({"x": [k * 10]}), tmp_path / "rows" / f"k={k}" / "part.parquet")
    for path in (tmp_path / "rows", f"file://{tmp_path}/rows", tmp_path / "row*"):
        table = FeatureTable.read_parquet(path)
        assert table.dtypes == [("x", "bigint"), ("k", "int")]
        assert sorted(map(tuple, table.collect())) == [(10, 1), (20, 2)]


def test_drop_duplicates_by_columns(table):
    smallest = table.drop_duplicates("other", sort_cols="score")
    largest = table.drop_duplicates(["other"], sort_cols=["score"], keep="max")
    for kept, choose in ((smallest, min), (largest, max)):
        found = {row["other"]: row["score"] for row in kept.df.collect()}
        assert found == {
            name: choose(score for n, score in zip(ROWS["other"], ROWS["score"], strict=True) if n == name)
            for name in set(ROWS["other"])
        }
    assert table.drop_duplicates("other").size() == len(set(ROWS["other"]))


def test_tables_without_rows(table, spark, tmp_path):
    nothing = pa.table(ROWS).slice(0, 0)
    pq.write_table(nothing, tmp_path / "none.parquet")
    empty = FeatureTable.read_parquet(tmp_path / "none.parquet").hash_encode("name", 5)
    empty.write_parquet(tmp_path / "out")
    assert FeatureTable.read_parquet(tmp_path / "out").columns == list(ROWS)
    empty.drop_duplicates().write_parquet(tmp_path / "out")
    assert FeatureTable.read_parquet(tmp_path / "out").size() == 0
    assert empty.gen_string_idx("other").to_dict() == {}
    with pytest.raises(InvalidInputError, match="column 'score' has no values"):
        empty.min_max_scale("score")


def test_a_failing_task_leaves_the_old_output(table, tmp_path):
    table.write_parquet(tmp_path / "out")
    with pytest.raises(InvalidInputError, match=r"\.parquet: column 'name' has the value None; it may be 'n1'"):
        table.encode_fixed("name", {"n1": 1}).write_parquet(tmp_path / "out")
    assert read(tmp_path / "out") == ROWS
    assert names(tmp_path) == ["out", "raw"]
    with pytest.raises(InvalidInputError, match="out exists"):
        table.write_parquet(tmp_path / "out", mode="error")
    table.drop("name").write_parquet(tmp_path / "out", mode="ignore")
    assert read(tmp_path / "out") == ROWS


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.select(), "cols should be str or a list of str, but got None."),
        (lambda t: t.select("x"), r"\['x'\] do not exist in this Table"),
        (lambda t: t.cast("name", "complex"), "dtype should be string, boolean, int, long, short, float, double."),
        (lambda t: t.fillna("x", "count"), "string does not match the type of column count"),
        (lambda t: t.fillna(1, ["name"]), "numeric does not match the type of column name"),
        (lambda t: t.fillna(True, ["name"]), "boolean does not match the type of column name"),
        (lambda t: t.fillna([], ["name"]), "value should be a number"),
        (lambda t: t.rename({"name": "other"}), "cannot rename 'name' to 'other'"),
        (lambda t: t.append_column("x", [1]), "column should be a pyspark.sql.column.Column"),
        (lambda t: t.gen_string_idx({"col_name": "x"}), "must has argument 'src_cols'"),
        (lambda t: t.gen_string_idx("name", freq_limit="3"), "freq_limit only supports int, dict or None"),
        (lambda t: t.gen_string_idx("name", do_split=True, sep=""), "sep is ''"),
        (lambda t: t.encode_string(["name"], []), "columns len doesn't match indices"),
        (lambda t: t.hash_encode("name", 0), "bins is 0"),
        (lambda t: t.hash_encode("name", 5, "md9"), "no hash method 'md9'"),
        (lambda t: t.cross_columns([["name"]], [5]), "should have >= 2 columns"),
        (lambda t: t.cross_columns([["name", "other"]], [5, 6]), "should have the same length"),
        (lambda t: t.cut_bins("name", [1]), "name should be a numeric column"),
        (lambda t: t.cut_bins("count", [2, 1]), "give ascending edges"),
        (lambda t: t.cut_bins("count", [1], labels=["x"]), "labels should be of length 2 to match bins"),
        (lambda t: t.cut_bins("count", {"x": [1]}), "bins has no entry for column 'count'"),
        (lambda t: t.drop_duplicates(keep="first"), "keep should be either min or max, but got first."),
    ],
)
def test_wrong_arguments_are_named(table, call, message):
    with pytest.raises(RuntimeError, match=message):
        call(table)


def test_a_dropped_columns_name_can_be_taken_by_another(table, tmp_path):
    """Column `count` is still read, for the bins, when `score` takes its name."""
    moved = table.cut_bins("count", [5], out_cols="bin", drop=False).drop("count").rename({"score": "count"})
    moved.write_parquet(tmp_path / "out")
    assert read(tmp_path / "out")["count"] == ROWS["score"]
    assert FeatureTable.read_parquet(tmp_path / "out").columns == moved.columns


def test_bins_of_equal_width(table, tmp_path):
    table.cut_bins("score", 4, out_cols="bin", drop=False).write_parquet(tmp_path / "out")
    edges = [max(ROWS["score"]) * i / 4 for i in range(5)]
    assert read(tmp_path / "out")["bin"] == [sum(score >= edge for edge in edges) for score in ROWS["score"]]
