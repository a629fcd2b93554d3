"""Target encoding: codes against their slow definition, the same for any cut of the rows, and what is refused."""

import math
import random
import tempfile
import warnings
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.reference import target_encode as slow

from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.feature import FeatureTable, TargetCode
from friesian_fast.feature.groups import GroupCounter, GroupCounts, Summed
from friesian_fast.feature.map_file import read_map
from friesian_fast.feature.ops import EncodeTarget
from friesian_fast.feature.target_fit import code_shards, merge_maps

COLUMNS = {
    "id": list(range(8)),
    "c": ["a", "a", "b", None, "b", "a", "c", "a"],
    "g": pa.array([1, 1, 2, 2, 1, None, 1, 2], pa.int16()),
    "y": pa.array([1, 0, 1, 1, 0, 1, None, 1], pa.int32()),
    "z": [0.5, 1.5, None, 2.0, 4.0, 8.25, math.nan, -3.0],
    "f": pa.array([0, 1, 0, 1, 1, 2, 0, 0], pa.int32()),
}


def plain(column):
    return column.to_pylist() if isinstance(column, pa.Array) else column


def keys_of(*names):
    return list(zip(*(plain(COLUMNS[name]) for name in names), strict=True))


def by_id(table, name):
    return dict(zip(*table.select("id", name).to_dict().values(), strict=True))


def test_out_of_fold_codes(make):
    table, codes = make(COLUMNS).target_encode(["c", ["c", "g"]], ["y", "z"], smooth=3, kfold=3, fold_col="f")
    assert table.columns == ["c", "g", "id", "y", "z", "c_te_y", "c_te_z", "c_g_te_y", "c_g_te_z"]
    assert [kind for _, kind in table.dtypes[-4:]] == ["double"] * 4
    for names, code in ((("c",), codes[0]), (("c", "g"), codes[1])):
        for target in ("y", "z"):
            values, out = plain(COLUMNS[target]), f"{'_'.join(names)}_te_{target}"
            mean = slow.mean_of(values)
            expected = slow.out_of_fold(keys_of(*names), values, plain(COLUMNS["f"]), mean, 3)
            assert by_id(table, out) == pytest.approx(dict(enumerate(expected)), rel=1e-14)
            assert code.out_target_mean[out] == (target, pytest.approx(mean))
    assert codes[0].cat_col == "c"
    assert codes[1].cat_col == ["c", "g"]
    assert codes[1].columns == ["c", "g", "c_g_te_y", "c_g_te_z", "target_encode_count"]


def test_codes_of_all_rows(make, rows_of):
    table, (code,) = make(COLUMNS).target_encode("c", "y", smooth=3, kfold=1)
    assert table.columns == ["c", "id", "g", "y", "z", "f", "c_te_y"]
    keys, values = keys_of("c"), plain(COLUMNS["y"])
    mean = slow.mean_of(values)
    codes = {key: slow.code(keys, values, (key,), mean, 3) for key in ("a", "b", "c", None)}
    assert by_id(table, "c_te_y") == pytest.approx({i: codes[key] for i, (key,) in enumerate(keys)})
    assert rows_of(code) == [
        ("a", pytest.approx(codes["a"]), 4),
        ("b", pytest.approx(codes["b"]), 2),
        ("c", codes["c"], 1),
    ]
    assert code.dtypes == [("c", "string"), ("c_te_y", "double"), ("target_encode_count", "bigint")]
    assert isinstance(code, TargetCode)


def test_own_folds_leave_their_rows_out(make):
    table, _ = make(COLUMNS).target_encode("c", "y", kfold=3, fold_seed=7, drop_fold=False, fold_col="fold")
    assert table.columns[:2] == ["c", "fold"]
    assert dict(table.dtypes)["fold"] == "int"
    folds = by_id(table, "fold")
    assert set(folds.values()) <= {0, 1, 2}
    values = plain(COLUMNS["y"])
    expected = slow.out_of_fold(keys_of("c"), values, [folds[i] for i in range(8)], slow.mean_of(values), 20)
    assert by_id(table, "c_te_y") == pytest.approx(dict(enumerate(expected)), rel=1e-14)
    again = make(COLUMNS).target_encode("c", "y", kfold=3, fold_seed=8, drop_fold=False)[0]
    assert by_id(again, "__fold__") != folds
    dropped = make(COLUMNS).target_encode("c", "y", drop_cat=True)[0]
    assert dropped.columns == ["id", "g", "y", "z", "f", "c_te_y"]


def test_folds_are_about_even(make):
    rows = {"id": list(range(2000)), "x": [0.5 * i if i % 3 else None for i in range(2000)], "c": ["k"] * 2000}
    table, _ = make(rows).target_encode("c", "x", kfold=4, drop_fold=False)
    folds = table.to_list("__fold__")
    assert all(420 < folds.count(fold) < 580 for fold in range(4))


def test_folds_do_not_tell_the_target(make):
    """Rows that differ in the target only are in one fold: else the fold, and so the code, would tell it."""
    rows = {"c": ["k"] * 60, "n": [i // 2 for i in range(60)], "y": [0, 1] * 30}
    table, _ = make(rows).target_encode("c", "y", kfold=5, drop_fold=False)
    folds = {(row.n, row.y): row["__fold__"] for row in table.collect()}
    assert len(set(folds.values())) > 1
    assert all(folds[n, 0] == folds[n, 1] for n in range(30))


@pytest.fixture
def cuts(spark, tmp_path):
    """The same rows, cut and ordered in several ways."""

    def build(rows):
        table = pa.table(rows)
        shuffled = table.take(random.Random(1).sample(range(table.num_rows), table.num_rows))
        yield FeatureTable(spark.createDataFrame(table).coalesce(1))
        yield FeatureTable(spark.createDataFrame(shuffled).repartition(5))
        for i, (source, step) in enumerate(((table, 1000), (shuffled, 37), (table.slice(50), 11))):
            directory = tmp_path / f"cut-{i}"
            directory.mkdir()
            whole = pa.concat_tables([source, table.slice(0, 50)]) if source.num_rows < table.num_rows else source
            for start in range(0, whole.num_rows, step):
                pq.write_table(whole.slice(start, step), directory / f"{start:05d}.parquet", row_group_size=8)
            yield FeatureTable.read_parquet(directory)

    return build


def test_the_same_bits_for_any_cut(cuts):
    draw = random.Random(0)
    rows = {
        "id": list(range(211)),
        "c": [draw.choice(["x", "y", "z", None]) for _ in range(211)],
        "n": pa.array([draw.randrange(9) for _ in range(211)], pa.int32()),
        "y": [draw.choice([1e9, 1.0, 1e-6, -3.3]) * draw.random() for _ in range(211)],
        "d": pa.array([Decimal(draw.randrange(10**6)) / 100 for _ in range(211)], pa.decimal128(12, 2)),
        "l": [draw.randrange(-(2**62), 2**62) for _ in range(211)],
    }
    found = []
    for table in cuts(rows):
        encoded, codes = table.target_encode(["c", ["c", "n"]], ["y", "d", "l"], kfold=5, fold_seed=3, drop_fold=False)
        told = [sorted(map(tuple, code.collect())) for code in codes]
        found.append((sorted(map(tuple, encoded.sort("id").collect()), key=lambda r: r[3]), told))
    assert all(one == found[0] for one in found[1:])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "", "a:", "1:a", None]),
            st.sampled_from([":", "a", None, "x"]),
            st.one_of(st.none(), st.floats(-1e12, 1e12), st.just(math.nan)),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 7),
    st.floats(0, 50),
)
def test_counted_groups_give_the_definitions_codes(tmp_path, rows, step, smooth):
    """The tasks' own functions, without Spark between them."""
    directory = Path(tempfile.mkdtemp(dir=tmp_path))  # maps are kept in memory by their path
    a, b, y, fold = (list(column) for column in zip(*rows, strict=True))
    mean = 0.25
    batch = pa.record_batch(
        {"a": pa.array(a, pa.string()), "b": pa.array(b, pa.string()), "y": pa.array(y, pa.float64())}
    )
    batch = batch.append_column("fold", pa.array(fold, pa.int32()))
    largest = max([abs(v) for v in y if v is not None and not math.isnan(v)], default=0.0)
    one = Summed.of("y", pa.float64(), len(rows), largest)
    group = {"keys": ["a", "b"], "fold": "fold", "sums": [{"column": "y", "weights": one.weights, "bits": one.bits}]}
    answers = []
    for start in range(0, len(rows), step):
        counter = GroupCounter(group)
        counter.add(batch.slice(start, step))
        answers.append(counter.finish(directory))
    counts = GroupCounts.of(group, answers)
    task = {"files": counts.files, "folds": counts.folds, "outputs": ["o"], "means": [mean], "smooth": smooth}
    made = code_shards({**group, **task, "directory": str(directory), "form": "map", "shards": list(range(32))})
    files = [made["map"]] if made["map"] else []
    merged = merge_maps({"files": files, "outputs": 1, "path": str(directory / "codes.map")})
    keys = read_map(merged["path"])["key"].to_pylist()
    assert keys == sorted(set(keys), key=str.encode)
    op = EncodeTarget(("a", "b"), ("o",), (mean,), merged["sha256"], merged["path"], "fold", counts.folds)
    expected = slow.out_of_fold(list(zip(a, b, strict=True)), y, fold, mean, smooth)
    found = op.apply(batch)["o"].to_pylist()
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9 * max(largest, 1))
    total = sum(v for v in y if v is not None and not math.isnan(v))
    assert float(one.number(counts.sums[0])) == pytest.approx(total, rel=1e-12, abs=1e-12 * max(largest, 1))


def test_encode_target_takes_codes_of_another_table(make):
    _, codes = make(COLUMNS).target_encode(["c", ["g", "c"]], ["y", "z"], smooth=3)
    other = make({"x": [9, 8, 7, 6], "c": ["b", "new", None, "a"], "g": [2, 1, 1, 2]})
    encoded = other.encode_target(codes, target_cols="y", drop_cat=False)
    assert encoded.columns == ["g", "c", "x", "c_te_y", "g_c_te_y"]
    values = plain(COLUMNS["y"])
    mean = slow.mean_of(values)
    keys = keys_of("c")
    rows = dict(zip(*encoded.select("x", "c_te_y").to_dict().values(), strict=True))
    expected = [slow.code(keys, values, (key,), mean, 3) for key in ("b", "new", None, "a")]
    assert rows == pytest.approx(dict(zip((9, 8, 7, 6), expected, strict=True)))
    assert other.encode_target(codes[0]).columns == ["x", "g", "c_te_y", "c_te_z"]
    pairs = dict(zip(*encoded.select("x", "g_c_te_y").to_dict().values(), strict=True))
    assert pairs[6] == pytest.approx(slow.code(keys_of("g", "c"), values, (2, "a"), mean, 3))
    assert pairs[8] == pytest.approx(mean)


def test_too_many_categories_for_a_map_are_joined_by_spark(make, monkeypatch, rows_of):
    arguments = {"kfold": 3, "fold_seed": 1, "smooth": 2}
    table, codes = make(COLUMNS).target_encode(["c", ["c", "g"]], ["y", "z"], **arguments)
    encoded = make(COLUMNS).encode_target(codes)
    for module in ("target", "target_fit"):
        monkeypatch.setattr(f"friesian_fast.feature.{module}.MAP_ROWS", 1)
    joined, same = make(COLUMNS).target_encode(["c", ["c", "g"]], ["y", "z"], **arguments)
    assert joined.dtypes == table.dtypes
    assert repr(rows_of(joined)) == repr(rows_of(table))
    assert [rows_of(code) for code in same] == [rows_of(code) for code in codes]
    again = make(COLUMNS).encode_target(same)
    assert again.columns == encoded.columns
    assert repr(rows_of(again)) == repr(rows_of(encoded))


def test_the_recorded_steps_are_the_specs(make):
    table, codes = make(COLUMNS).target_encode("c", "y", kfold=2)
    assert [step.op for step in table.transforms] == ["row_fold", "encode_target"]
    (step,) = make(COLUMNS).encode_target(codes).transforms
    assert step.inputs == ("c",)
    assert step.outputs == ("c_te_y",)
    assert set(step.params) == {"means", "sha256", "fold", "folds"}
    assert len(step.params["sha256"]) == 64


def test_a_broken_map_is_named(tmp_path):
    (tmp_path / "broken.map").write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidInputError, match=r"broken.map cannot be read as a map"):
        read_map(str(tmp_path / "broken.map"))


def test_target_code_round_trip(make, tmp_path, rows_of):
    _, (code, pair) = make(COLUMNS).target_encode(["c", ["c", "g"]], "y")
    pair.write_parquet(tmp_path / "pair")
    read = TargetCode.read_parquet(tmp_path / "pair")
    assert (read.cat_col, read.out_target_mean) == (["c", "g"], pair.out_target_mean)
    assert read.dtypes == pair.dtypes
    assert rows_of(read) == rows_of(pair)
    with pytest.raises(InvalidInputError, match="exists; remove it"):
        pair.write_parquet(tmp_path / "pair", mode="error")
    code.write_parquet(tmp_path / "pair", mode="ignore")
    assert TargetCode.read_parquet(tmp_path / "pair").cat_col == ["c", "g"]
    code.write_parquet(tmp_path / "pair")
    assert TargetCode.read_parquet(str(tmp_path / "pair")).cat_col == "c"
    with pytest.raises(InvalidInputError, match="mode is 'append'; use overwrite, error or ignore"):
        code.write_parquet(tmp_path / "pair", mode="append")
    (tmp_path / "pair" / "_target_code.json").write_text("{}")
    with pytest.raises(InvalidInputError, match="does not say what the codes are"):
        TargetCode.read_parquet(tmp_path / "pair")
    (tmp_path / "pair" / "_target_code.json").unlink()
    with pytest.raises(NotFoundError, match=r"has no _target_code.json; give cat_col and out_target_mean"):
        TargetCode.read_parquet(tmp_path / "pair")
    given = TargetCode.read_parquet(tmp_path / "pair", "c", {"c_te_y": ("y", 0.5)})
    assert given.out_target_mean == {"c_te_y": ("y", 0.5)}


def test_renaming_a_target_code_changes_nothing_else(make, rows_of):
    _, (code, pair) = make(COLUMNS).target_encode(["c", ["c", "g"]], "y")
    renamed = pair.rename({"c": "kind", "c_g_te_y": "code", "y": "label"})
    assert isinstance(renamed, TargetCode)
    assert renamed.columns == ["kind", "g", "code", "target_encode_count"]
    assert renamed.cat_col == ["kind", "g"]
    assert renamed.out_target_mean == {"code": ("label", pair.out_target_mean["c_g_te_y"][1])}
    assert pair.cat_col == ["c", "g"]
    assert list(pair.out_target_mean) == ["c_g_te_y"]
    encoded = make(COLUMNS).rename({"c": "kind"}).encode_target(renamed)
    assert encoded.columns == ["id", "y", "z", "f", "code"]
    few = code.filter("target_encode_count > 1")
    assert isinstance(few, TargetCode)
    assert few.cat_col == "c"
    mean = code.out_target_mean["c_te_y"][1]
    assert by_id(make(COLUMNS).encode_target(few), "c_te_y")[6] == pytest.approx(mean)
    both = code.filter("c = 'a'").concat(code.filter("c = 'b'"))
    assert (
        by_id(make(COLUMNS).encode_target(both), "c_te_y")[2] == by_id(make(COLUMNS).encode_target(code), "c_te_y")[2]
    )
    own = TargetCode(code.df, "c", {"c_te_y": ("y", 0.0)})
    assert by_id(make(COLUMNS).encode_target(own), "c_te_y")[3] == 0.0


@pytest.mark.parametrize(
    ("cats", "targets", "out_cols", "names"),
    [
        ("c", "y", "o", ["o"]),
        (["c", "g"], "y", ["o", "p"], ["o", "p"]),
        ("c", ["y", "z"], ["o", "p"], ["o", "p"]),
        ([["c", "g"]], ["y", "z"], [["o", "p"]], ["o", "p"]),
        (["c", "g"], ["y", "z"], [["o", "p"], ["q", "r"]], ["o", "p", "q", "r"]),
    ],
)
def test_output_names(make, cats, targets, out_cols, names):
    table, codes = make(COLUMNS).target_encode(cats, targets, kfold=1, out_cols=out_cols)
    assert table.columns[-len(names) :] == names
    assert [out for code in codes for out in code.out_target_mean] == names


def test_given_means_and_categories_of_other_types(make):
    rows = {
        "x": [0.0, -0.0, math.nan, math.nan, 1.5],
        "m": pa.array([Decimal("1.5"), Decimal("1.5"), None, Decimal("2.0"), Decimal("2.0")], pa.decimal128(5, 2)),
        "b": [True, False, True, None, True],
        "t": pa.array([1, 1, 2, 2, None], pa.timestamp("us", "UTC")),
        "y": [1, 2, 3, 4, 5],
        "id": [0, 1, 2, 3, 4],
    }
    table, codes = make(rows).target_encode(["x", "m", "b", "t"], "y", {"y": 10}, smooth=0, kfold=1)
    assert by_id(table, "x_te_y") == {0: 1.5, 1: 1.5, 2: 3.5, 3: 3.5, 4: 5.0}
    assert by_id(table, "m_te_y") == {0: 1.5, 1: 1.5, 2: 10.0, 3: 4.5, 4: 4.5}
    assert by_id(table, "b_te_y") == {0: 3.0, 1: 2.0, 2: 3.0, 3: 10.0, 4: 3.0}
    assert by_id(table, "t_te_y") == {0: 1.5, 1: 1.5, 2: 3.5, 3: 3.5, 4: 10.0}
    assert [code.columns[0] for code in codes] == ["x", "m", "b", "t"]
    assert dict(codes[1].dtypes)["m"] == "decimal(5,2)"


def test_tables_without_rows(make):
    empty = make({"id": pa.array([], pa.int64()), "c": pa.array([], pa.string()), "y": pa.array([], pa.float64())})
    table, (code,) = empty.target_encode("c", "y", {"y": 0.5})
    assert (table.size(), code.size()) == (0, 0)
    assert code.columns == ["c", "c_te_y", "target_encode_count"]
    assert by_id(make(COLUMNS).encode_target(code), "c_te_y") == dict.fromkeys(range(8), 0.5)
    with pytest.raises(InvalidInputError, match="mean of target column y should not be None"):
        empty.target_encode("c", "y")


def test_many_equal_rows_are_warned_of(make):
    rows = {"c": ["a"] * 300 + ["b"] * 300, "y": [i % 2 for i in range(600)]}
    with pytest.warns(UserWarning, match="so many rows are equal in all columns"):
        make(rows).target_encode("c", "y", kfold=5)
    rows["id"] = list(range(600))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        make(rows).target_encode("c", "y", kfold=5)


def test_a_table_of_nothing_but_categories_is_warned_of(make):
    rows = {"c": ["a", "b", "a", "c"], "d": ["x", "y", "y", "x"], "y": [0, 1, 1, 0]}
    with pytest.warns(UserWarning, match="so many rows are equal in all columns"):
        make(rows).target_encode([["c", "d"]], "y")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        make(rows).target_encode(["c", "d"], "y")
        make(rows).target_encode([["c", "d"]], "y", kfold=1)


def test_codes_lie_on_this_machine(make, tmp_path):
    _, (code,) = make(COLUMNS).target_encode("c", "y")
    code.write_parquet(f"file://{tmp_path}/code")
    assert (tmp_path / "code" / "_target_code.json").is_file()
    assert TargetCode.read_parquet(f"file://{tmp_path}/code").cat_col == "c"
    with pytest.raises(InvalidInputError, match="a TargetCode is not written to s3a://b/code; write its df there"):
        code.write_parquet("s3a://b/code")
    with pytest.raises(InvalidInputError, match="s3a://b/code .*give cat_col and out_target_mean"):
        TargetCode.read_parquet(["s3a://b/code"])
    code.write_csv(tmp_path / "csv")
    assert FeatureTable.read_csv(tmp_path / "csv", header=True).columns == code.columns


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kfold": 0}, "kfold should be an integer larger than 0"),
        ({"kfold": 1.5}, "kfold should be an integer larger than 0"),
        ({"target_cols": "c"}, "target_cols should be numeric but get c of type string"),
        ({"target_cols": []}, "target_cols is empty"),
        ({"target_cols": "nothing"}, r"\['nothing'\] do not exist in this Table"),
        ({"cat_cols": ["c", "nothing"]}, "nothing in cat_cols does not exist in Table"),
        ({"cat_cols": [["c", 3]]}, "cat_cols should be str, list of str or list of list of str"),
        ({"cat_cols": []}, "cat_cols should be str, list of str or list of list of str"),
        ({"target_mean": {"z": 1.0}}, "target column y should be in target_mean"),
        ({"target_mean": {"y": "1"}}, "mean in target_mean should be numeric but get '1'"),
        ({"target_mean": {"y": None}}, "mean of target column y should not be None"),
        ({"target_mean": [1]}, "target_mean should be dict"),
        ({"fold_col": "z"}, "fold_col should be integer type but get z"),
        ({"fold_col": 3}, "fold_col should be str"),
        ({"fold_seed": 1.5}, "fold_seed should be an int"),
        ({"smooth": -1}, "smooth should be a number of at least 0"),
        ({"smooth": "20"}, "smooth should be a number of at least 0"),
        ({"out_cols": ["o", "p"]}, "give one name for each of 1 categories and target_cols"),
        ({"out_cols": "y"}, r"\['y'\] would be there twice"),
        ({"cat_cols": ["c", "g"], "out_cols": ["o", "o"]}, r"\['o'\] would be there twice"),
        ({"target_cols": "inf"}, "target column 'inf' has infinite values"),
        ({"target_cols": "none"}, "mean of target column none should not be None"),
        ({"cat_cols": "l"}, "column 'l' of type list.* is no category"),
        ({"fold_col": "many"}, "fold_col 'many' has 150 values; there may be 100 folds at most"),
    ],
)
def test_wrong_arguments_are_named(spark, arguments, message):
    n = 150
    rows = pa.table(
        {
            "c": ["a"] * n,
            "g": [1] * n,
            "y": [1] * n,
            "z": [0.5] * n,
            "inf": [math.inf] * n,
            "none": pa.array([None] * n, pa.float64()),
            "l": [[1]] * n,
            "many": list(range(n)),
        }
    )
    table = FeatureTable(spark.createDataFrame(rows))
    with pytest.raises(InvalidInputError, match=message):
        table.target_encode(**{"cat_cols": "c", "target_cols": "y", **arguments})


def test_wrong_codes_are_named(make):
    table = make(COLUMNS)
    _, (code,) = table.target_encode("c", "y", kfold=1)
    for call, message in (
        (lambda: table.encode_target([1]), "targets should be a TargetCode or a list of them"),
        (lambda: table.drop("c").encode_target(code), "c in TargetCode.cat_col in targets does not exist in Table"),
        (lambda: table.encode_target(code, "nothing"), r"\['nothing'\] in target_cols are in none of targets"),
        (lambda: table.encode_target(code, 3), "target_cols should be str or a list of str, but got 3."),
        (lambda: table.encode_target([code, code]), r"\['c_te_y'\] would be there twice"),
        (lambda: TargetCode(code.df, "nothing", {}), r"\['nothing'\] do not exist"),
        (lambda: TargetCode(code.df, 3, {}), "cat_col should be str or a list of str"),
        (lambda: TargetCode(code.df, "c", 3), "out_target_mean should be dict, but get int"),
        (lambda: TargetCode(code.df, "c", {"c_te_y": "y"}), "should be \\(target column, mean\\), but got y"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            call()
    twice = TargetCode(code.df.union(code.df), "c", code.out_target_mean)
    with pytest.raises(InvalidInputError, match="twice"):
        table.encode_target(twice)
