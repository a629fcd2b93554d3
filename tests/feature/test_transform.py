"""`FeatureSpec.transform` gives the same bits as the table it was recorded on, for every operation."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.feature.op_strategies import CASES, SHAPES, all_cases, cases, lengths
from tests.feature.same_bits import require_same

from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.feature import FeatureTable, StringIndex
from friesian_fast.feature.map_file import write_map
from friesian_fast.feature.ops import (
    EncodeTarget,
    EncodeVocabulary,
    Function,
    HashBucket,
    Log,
    LookUp,
    Op,
    Select,
    kind_of,
    name_of,
    registered,
)
from friesian_fast.feature.ops.lookup import write_dictionary
from friesian_fast.feature.plan import FrameSource, Part, empty_batch, run, stage_for
from friesian_fast.feature.table import run_stage
from friesian_fast.feature.transform import files_of
from friesian_fast.feature.vocabulary_file import write_vocabulary
from friesian_fast.spec import FeatureSpec, Transform

MODULES = ("tests.feature.op_strategies", lengths.__module__)
CHECKS = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return write_vocabulary(tmp_path_factory.mktemp("words") / "v.arrow", pa.array(["a", "ünï", "", "b", "7"]))


@pytest.fixture(scope="module")
def files(words, tmp_path_factory):
    """The vocabulary's path, and hash and path of maps of each kind."""
    directory = tmp_path_factory.mktemp("maps")

    def folds(*columns):
        return [pa.FixedSizeListArray.from_arrays(pa.array(column), len(column) // 2) for column in columns]

    maps = {
        "mean": pa.record_batch([pa.array(["", "a"]), *folds([0.5, 0.75])], names=["key", "te"]),
        "means": pa.record_batch([pa.array(["", "a"]), *folds([0.5, 0.75, 0.1, 0.2])], names=["key", "te"]),
    }
    written = {name: write_map(directory / f"{name}.arrow", batch) for name, batch in maps.items()}
    pairs = write_dictionary(
        directory / "pairs.arrow", pa.table({"k": [1, 3, 9], "v": pa.array([7, 8, 9], pa.int32())})
    )
    known = {name: (file.sha256, file.path) for name, file in written.items()}
    return {"words": words.path, **known, "pairs": (pairs, str(directory / "pairs.arrow"))}


def spec_of(ops, words, outputs):
    return FeatureSpec(
        name="shop",
        row_sets=(),
        model_inputs=(),
        transforms=(*(op.transform() for op in ops), Select(tuple(outputs)).transform()),
        vocabularies={"words": words.pinned},
        files=files_of(ops),
    )


def reloaded(spec, directory):
    """The spec as another machine has it: written and read again, its files beside it."""
    spec.save(directory / "spec.json", files=True)
    return FeatureSpec.load(directory / "spec.json")


def test_every_operation_has_a_strategy():
    ours = {name for name, kind in registered().items() if kind.__module__.startswith("friesian_fast.")}
    kept = {name for name in ours if kind_of(name).keeps_rows}
    assert kept == set(CASES) | SHAPES


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_spec_and_the_native_stage_give_the_same_bits(name, words, files, tmp_path_factory):
    directory = tmp_path_factory.mktemp("spec")

    @settings(max_examples=25, **CHECKS)
    @given(cases(name, files), st.integers(1, 4))
    def check(case, cut):
        columns, ops = case
        batch = pa.record_batch(columns)
        outputs = run(ops, empty_batch(batch.schema)).schema.names
        stage = stage_for(Part(FrameSource(None, batch.schema), tuple(ops)), outputs)
        pieces = [batch.slice(at, cut) for at in range(0, batch.num_rows, cut)] or [batch]
        staged = run_stage(json.loads(json.dumps(stage.to_json())), [piece.select(stage.columns) for piece in pieces])
        made = reloaded(spec_of(ops, words, outputs), directory).transform(batch, modules=MODULES)
        require_same(made, pa.Table.from_batches(staged))

    check()


def test_the_spec_and_spark_give_the_same_bits(spark, words, files, tmp_path_factory):
    """All operations in one table: as a DataFrame through ``mapInArrow``, and from files to files."""

    @settings(max_examples=4, **CHECKS)
    @given(all_cases(files, rows=12))
    def check(case):
        columns, ops = case
        directory, raw = tmp_path_factory.mktemp("both"), pa.table(columns)
        for number in range(3):
            (directory / "raw").mkdir(exist_ok=True)
            pq.write_table(raw.slice(4 * number, 4), directory / "raw" / f"part-{number}.parquet")
        in_files = FeatureTable.read_parquet(directory / "raw")._then(*ops, more={"words": words})
        in_spark = FeatureTable(spark.createDataFrame(raw).coalesce(1))._then(*ops)
        made = reloaded(in_files.spec("shop"), directory).transform(raw, modules=MODULES)
        require_same(made, in_spark.df.toArrow())
        in_files.write_parquet(directory / "out")
        require_same(made, pq.read_table(directory / "out"))

    check()


@pytest.fixture
def shop(make):
    """A table with fitted things of several kinds, and the raw rows of it."""
    raw = {"item": ["pen", "ink", "pen", None], "price": [1.5, 20.0, 4.0, 9.5], "unused": [1, 2, 3, 4]}
    table, _ = make(raw).category_encode("item")
    table, _ = table.cut_bins("price", [2.0, 5.0], drop=False).min_max_scale("price")
    return table.hash_encode("unused", 10).select("price", "item", "price_bin"), pa.table(raw)


def test_a_table_gives_its_spec(shop, tmp_path):
    table, raw = shop
    spec = table.spec("shop")
    assert [step.op for step in spec.transforms] == [
        "encode_vocabulary",
        "cut_bins",
        "min_max_scale",
        "hash_bucket",
        "select",
    ]
    assert spec.vocabularies["item"].size == 2
    again = reloaded(spec, tmp_path)
    assert again == spec
    assert again.fingerprint() == spec.fingerprint()
    assert [path.name for path in (tmp_path / "vocabularies").iterdir()] == ["item.arrow"]
    made = again.transform(raw.drop_columns(["unused"]))
    assert made.to_pydict() == {
        "price": [0.0, 1.0, pytest.approx(2.5 / 18.5), pytest.approx(8 / 18.5)],
        "item": [1, 2, 1, None],
        "price_bin": [0, 2, 1, 2],
    }
    assert spec.transform(raw).equals(made)
    assert again.transform(raw, outputs=["item"]).to_pydict() == {"item": [1, 2, 1, None]}
    one = again.transform(raw.to_batches()[0])
    assert isinstance(one, pa.RecordBatch)
    assert pa.Table.from_batches([one]).equals(made)
    assert again.transform(raw.slice(0, 0)).schema == made.schema


def test_steps_that_only_pick_rows_keep_what_was_recorded(make):
    table = make({"a": [3, 1, 2], "b": [1, 2, 3]}).hash_encode("a", 7)
    picked = table.filter("b > 1").sort("b").dropna("a").distinct().limit(2).repartition(2).drop_duplicates("b")
    kept = picked.log("b").spec("x")
    assert [step.op for step in kept.transforms] == ["hash_bucket", "log", "select"]
    assert table.cache().spec("x").fingerprint() == table.spec("x").fingerprint()
    table.uncache()


def test_what_was_recorded_before_rows_are_made_is_kept(make):
    table = make({"user": [1, 1, 2, 2], "item": ["a", "b", "a", "c"], "time": [1, 2, 1, 2]}).hash_encode("item", 7)
    made = table.add_hist_seq("item", "user").add_negative_samples(9, user_col="user").log("time")
    spec = made.spec("x")
    assert [step.op for step in spec.transforms] == ["hash_bucket", "log", "select"]
    raw = pa.table({"item": ["a"], "time": [1]})
    assert spec.transform(raw, outputs=["item"]).column("item").to_pylist() == [table.to_list("item")[0]]


@pytest.mark.parametrize(
    ("change", "step"),
    [
        (lambda table: table.apply("b", "b", str), "apply"),
        (lambda table: table.group_by("a", {"b": "sum"}), "group_by"),
        (lambda table: table.join(table.select("a"), on="a"), "join"),
        (lambda table: table.append_column("c", table.b + 1), "append_column"),
    ],
)
def test_steps_that_a_spec_cannot_repeat_are_named(make, change, step):
    raw = make({"a": [3, 1], "b": [1, 2]})
    assert change(raw).spec("x").transforms[-1].op == "select"
    with pytest.raises(InvalidInputError, match=f"'{step}' changed columns after operations were recorded"):
        change(raw.hash_encode("a", 7)).log(change(raw).columns[0]).spec("x")


def test_joined_tables_must_have_the_same_operations(make):
    raw = make({"a": [3, 1]})
    assert len(raw.log("a").concat(raw.log("a")).spec("x").transforms) == 2
    with pytest.raises(InvalidInputError, match="joins tables with different operations"):
        raw.log("a").concat(raw.cast("a", "double")).spec("x")


class Twice(Op):
    """Makes two rows of each."""

    name = "twice_in_a_test"
    keeps_rows = False
    inputs = outputs = ("a",)

    @classmethod
    def create(cls, inputs, outputs, params, resources):
        return cls()

    def apply(self, batch):
        return pa.RecordBatch.from_arrays([pa.concat_arrays([batch.column(0)] * 2)], names=["a"])


def test_operations_that_make_rows_are_no_part_of_a_spec(make):
    twice = make({"a": [1]})._then(HashBucket("a", 3), Twice(), Log("a")).spec("x")
    assert [step.op for step in twice.transforms] == ["hash_bucket", "log", "select"]
    spec = FeatureSpec(name="x", row_sets=(), model_inputs=(), transforms=(Twice().transform(),))
    with pytest.raises(InvalidInputError, match="twice_in_a_test of 'a' makes other rows"):
        spec.transform(pa.table({"a": [1]}))


def test_functions_are_called_only_of_modules_that_are_named(words):
    spec = spec_of([Function(("a",), "n", name_of(lengths)), HashBucket("a", 3)], words, ["n", "a"])
    raw = pa.table({"a": ["xyz"]})
    with pytest.raises(InvalidInputError, match=r"column 'n' is made by .*:lengths, a function .* pass modules=\['"):
        spec.transform(raw)
    assert spec.transform(raw, modules=MODULES)["n"].to_pylist() == [3]
    assert spec.transform(raw, outputs=["a"]).column_names == ["a"]


@pytest.mark.parametrize("directory_known", [True, False])
def test_missing_and_altered_files_are_named(words, files, tmp_path, directory_known):
    op = EncodeVocabulary("a", "words", files["words"])
    spec, raw = spec_of([op], words, ["a"]), pa.table({"a": ["b"]})
    if not directory_known:
        with pytest.raises(NotFoundError, match=r"encode_vocabulary of 'a' needs the file vocabularies/words\.arrow"):
            FeatureSpec.from_json(spec.to_json()).transform(raw)
        return
    loaded = reloaded(spec, tmp_path)
    path = tmp_path / "vocabularies" / "words.arrow"
    kept = path.read_bytes()
    write_vocabulary(path, pa.array(["b", "a"]))
    with pytest.raises(InvalidInputError, match=r"words\.arrow is not the file that the spec pins"):
        loaded.transform(raw)
    with pytest.raises(InvalidInputError, match=r"words\.arrow is not the file that the spec pins"):
        loaded.save(tmp_path / "other" / "spec.json", files=True)
    path.write_bytes(b"no vocabulary")
    with pytest.raises(InvalidInputError, match=r"words\.arrow cannot be read as a vocabulary"):
        loaded.transform(raw)
    path.unlink()
    with pytest.raises(NotFoundError, match=r"words\.arrow, and there is no such file"):
        loaded.transform(raw)
    path.write_bytes(kept)
    assert loaded.transform(raw)["a"].to_pylist() == [4]
    path.unlink()  # it has been read
    assert loaded.transform(raw)["a"].to_pylist() == [4]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (pa.table({"b": [1]}), "the batch has no column 'a', which log of spec 'shop' reads; it has b"),
        (pa.table({"a": ["x"]}), r"log of 'a' \(string\): a should be a numeric column, but it has type string"),
        ({"a": [1]}, "batch is a dict; give a pyarrow RecordBatch or Table"),
    ],
)
def test_wrong_batches_are_named(words, batch, message):
    with pytest.raises(InvalidInputError, match=message):
        spec_of([Log("a")], words, ["a"]).transform(batch)


def test_outputs_that_are_not_made_are_named(words):
    with pytest.raises(InvalidInputError, match="no column 'z'; the table has a"):
        spec_of([Log("a")], words, ["a"]).transform(pa.table({"a": [1]}), outputs=["z"])


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Transform(op="mystery", inputs=(), outputs=()), "there is no operation 'mystery'"),
        (Transform(op="hash_bucket", inputs=("a",), outputs=("a",)), "hash_bucket of 'a' lacks or misnames a field"),
        (
            Transform(op="log", inputs=("a",), outputs=("a",), params={"base": 2}),
            "log of 'a' lacks or misnames a field",
        ),
    ],
)
def test_a_damaged_spec_is_named(step, message):
    spec = FeatureSpec(name="shop", row_sets=(), model_inputs=(), transforms=(step,))
    with pytest.raises(InvalidInputError, match=message):
        spec.transform(pa.table({"a": [1]}))


@pytest.mark.parametrize(
    ("make_op", "key"),
    [
        (lambda files: LookUp("a", "a", *files["pairs"]), "pairs"),
        (lambda files: EncodeTarget(("a",), ("a",), (0.5,), *files["mean"]), "mean"),
    ],
)
def test_altered_maps_are_named(make_op, key, words, files, tmp_path):
    op, raw = make_op(files), pa.table({"a": [3]})
    loaded = reloaded(spec_of([op], words, ["a"]), tmp_path)
    path = tmp_path / "maps" / f"{files[key][0]}.arrow"
    assert loaded.transform(raw).equals(spec_of([op], words, ["a"]).transform(raw))
    other = {"pairs": "mean", "mean": "means"}[key]
    (tmp_path / "maps" / "other").write_bytes(Path(files[other][1]).read_bytes())
    (tmp_path / "maps" / "other").replace(path)
    with pytest.raises(InvalidInputError, match=rf"{op.name} of 'a': .*\.arrow (is not the file that|cannot be read)"):
        FeatureSpec.load(tmp_path / "spec.json").transform(raw)


def test_a_vocabulary_that_is_not_pinned_is_named(words, files):
    spec = replace(spec_of([EncodeVocabulary("a", "words", files["words"])], words, ["a"]), vocabularies={})
    with pytest.raises(InvalidInputError, match="spec 'shop' does not pin the vocabulary 'words'"):
        spec.transform(pa.table({"a": ["x"]}))


def test_names_of_vocabularies_cannot_leave_the_directory(make, tmp_path):
    table = make({"a": ["x", "y"]}).encode_string("a", StringIndex.from_dict({"x": 1, "y": 2}, "../../v/w"))
    spec = table.spec("shop")
    spec.save(tmp_path / "s" / "spec.json", files=True)
    assert [path.name for path in (tmp_path / "s" / "vocabularies").iterdir()] == ["..%2F..%2Fv%2Fw.arrow"]
    assert FeatureSpec.load(tmp_path / "s" / "spec.json").transform(pa.table({"a": ["y"]}))["a"].to_pylist() == [2]


def test_it_needs_no_spark(words, files, tmp_path):
    spec_of([EncodeVocabulary("a", "words", files["words"])], words, ["a"]).save(tmp_path / "spec.json", files=True)
    code = (
        "import sys; sys.modules['pyspark'] = None; import pyarrow as pa; from friesian_fast.spec import FeatureSpec; "
        f"print(FeatureSpec.load({str(tmp_path / 'spec.json')!r}).transform(pa.table({{'a': ['b']}})).to_pydict())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'a': [4]}"
