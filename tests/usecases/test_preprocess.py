"""The preprocessing of recsys2021 against a slow definition, for any partitioning; its spec; its refusals."""

import json
import random
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.reference import recsys2021_preprocess as reference

from friesian_fast.errors import FriesianError
from friesian_fast.feature.session import get_session
from friesian_fast.feature.vocabulary_file import read
from friesian_fast.spec import FeatureSpec, Vocabulary
from friesian_fast.usecases.recsys2021 import raw_features
from friesian_fast.usecases.recsys2021.preprocess import preprocess, read_raw
from friesian_fast.usecases.recsys2021.schema import RAW_COLUMNS

SCHEMA = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in RAW_COLUMNS.items()])
NULLABLE = ("hashtags", "present_media", "present_links", "present_domains", "language", "tweet_id", "enaging_user_id")
NULLABLE += ("engaged_with_user_follower_count", "enaging_user_is_verified")


def record(rng, languages):
    """A raw record of few distinct values, so that they meet; now and then a null."""

    def some(words, most):
        return "\t".join(rng.choice(words) for _ in range(rng.randrange(most)))

    row = dict.fromkeys(RAW_COLUMNS)
    row |= {name: rng.randrange(10**9) for name, kind in RAW_COLUMNS.items() if kind == "int64"}
    row |= {name: rng.random() < 0.5 for name, kind in RAW_COLUMNS.items() if kind == "bool"}
    for name in reference.TIMESTAMPS:
        row[name] = rng.choice([None, None, 0, 1_600_000_000])
    for role in reference.ROLES:
        row[f"{role}_follower_count"] = rng.choice([0, 1, 99, 100, 10**5, 10**7, 2 * 10**9])
        row[f"{role}_following_count"] = rng.randrange(2000)
        row[f"{role}_id"] = f"U{rng.randrange(40)}"
    row |= {"text_tokens": some(["1", "2"], 5), "engagee_follows_engager": "true", "language": rng.choice(languages)}
    row |= {"tweet_id": f"T{rng.randrange(60)}", "tweet_type": rng.choice(["Retweet", "Quote", "TopLevel"])}
    row["present_media"] = some(["Photo", "Video", "GIF"], 5)
    for name in reference.LISTS:
        row[name] = some([f"{name}{i}" for i in range(30)], 6) + rng.choice(["", "", "\t"])
    for name in NULLABLE:
        if rng.random() < 0.03:
            row[name] = None
    return row


@pytest.fixture(scope="module")
def raw():
    rng = random.Random(0)
    train = [record(rng, ["de", "fr", "en"]) for _ in range(240)]
    return train, [record(rng, ["de", "pl", "en"]) for _ in range(60)]


def write_raw(directory, rows, files, group):
    directory.mkdir(parents=True)
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    each = -(-len(rows) // files)
    for number in range(files):
        part = table.slice(number * each, each)
        pq.write_table(part, directory / f"part-{number:05d}-x.parquet", row_group_size=group)


def run(directory, train_files="all", cross_sizes=600):
    train, test = read_raw(directory, train_files)
    preprocess(get_session("local[2]"), train, test, cross_sizes, directory / "preprocessed")
    return directory / "preprocessed"


@pytest.fixture(scope="module")
def output(raw, tmp_path_factory):
    directory = tmp_path_factory.mktemp("one")
    write_raw(directory / "train", raw[0], 1, 1000)
    write_raw(directory / "test", raw[1], 1, 1000)
    return run(directory)


def rows_of(path):
    return [tuple(row.values()) for row in pq.read_table(path).to_pylist()]


def test_it_is_what_the_fourteen_steps_say(output, raw):
    train, test, users, items, _ = reference.preprocess(*raw)
    for name, expected in (("train_parquet", train), ("test_parquet", test)):
        table = pq.read_table(output / name)
        assert set(table.column_names) == {*RAW_COLUMNS, *reference.LENGTHS, "present_media_language", "label"}
        assert table.to_pylist() == [{column: row[column] for column in table.column_names} for row in expected]
    assert pq.read_schema(output / "wnd_user.parquet" / "part-00000.snappy.parquet").names == [
        *("follower_count", "following_count", "user_id", "is_verified")
    ]
    assert pq.read_schema(output / "wnd_item.parquet" / "part-00000.snappy.parquet").names == reference.ITEM
    for name, wanted in (("wnd_user.parquet", users), ("wnd_item.parquet", items)):
        rows = rows_of(output / name)
        assert rows == sorted(wanted)


def test_its_spec_makes_the_same_features_of_raw_records(output, raw):
    """Without Spark, as serving does; the columns that only training has may be missing."""
    spec = FeatureSpec.load(output / "meta" / "spec.json")
    expected = pq.read_table(output / "test_parquet")
    records = pa.Table.from_pylist(raw[1], schema=SCHEMA)
    wanted = [name for name in expected.column_names if name != "label" and "timestamp" not in name]
    records = records.drop_columns(
        [name for name in SCHEMA.names if name.endswith("_timestamp") and name[:5] != "tweet"]
    )
    made = spec.transform(records, outputs=wanted, modules=[raw_features.__name__])
    assert made.to_pydict() == expected.select(wanted).to_pydict()
    assert made.schema.types == expected.select(wanted).schema.types


def test_types(output):
    schema = pq.read_table(output / "train_parquet").schema
    untouched = (
        "text_tokens",
        "engagee_follows_engager",
        "tweet_timestamp",
        *(n for n in RAW_COLUMNS if "creation" in n),
    )
    for field in schema:
        if field.name not in untouched:
            assert field.type == (pa.float32() if field.name.startswith("len_") else pa.int32()), field.name


def test_any_partitioning_gives_the_same(output, raw, tmp_path):
    write_raw(tmp_path / "train", raw[0], 7, 11)
    write_raw(tmp_path / "test", raw[1], 3, 5)
    other = run(tmp_path)
    for name in ("train_parquet", "test_parquet", "wnd_user.parquet", "wnd_item.parquet"):
        assert pq.read_table(other / name).equals(pq.read_table(output / name)), name
    for name in ("spec.json", "categorical_sizes.json"):
        assert (other / "meta" / name).read_bytes() == (output / "meta" / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["preprocessed", "test", "train"]


def test_train_files_and_stale_outputs(raw, tmp_path):
    write_raw(tmp_path / "train", raw[0], 4, 1000)
    write_raw(tmp_path / "test", raw[1], 1, 1000)
    (tmp_path / "preprocessed").mkdir()
    (tmp_path / "preprocessed" / "user_ebd.parquet").touch()
    output = run(tmp_path, train_files="1-2", cross_sizes=7)
    expected = reference.preprocess(raw[0][60:180], raw[1], bins=7)[0]
    table = pq.read_table(output / "train_parquet")
    assert table.to_pylist() == [{column: row[column] for column in table.column_names} for row in expected]
    assert sorted(path.name for path in output.iterdir()) == [
        *("meta", "test_parquet", "train_parquet", "wnd_item.parquet", "wnd_user.parquet")
    ]


def test_sizes_and_spec(output, raw):
    indices = reference.preprocess(*raw)[-1]
    sizes = json.loads((output / "meta" / "categorical_sizes.json").read_text())
    known = {name: len(ids) for name, ids in indices.items()}
    users = known.pop("user_id")
    counts = {f"{role}_{name}_count": 7 for role in reference.ROLES for name in ("follower", "following")}
    assert sizes == {
        **known,
        **counts,
        "engaged_with_user_id": users,
        "enaging_user_id": users,
        "present_media": 13,
        "tweet_type": 3,
        "present_media_language": 600,
    }
    spec = FeatureSpec.load(output / "meta" / "spec.json")
    assert spec.vocabularies == {name: Vocabulary.of(ids) for name, ids in indices.items()}
    for name, ids in indices.items():
        assert read(output / "meta" / "vocabularies" / f"{name}.arrow").column("value").to_pylist() == list(ids)
    user, item = spec.row_set("user"), spec.row_set("item")
    assert (user.id_column, [c.name for c in user.columns]) == (
        "user_id",
        ["follower_count", "following_count", "is_verified"],
    )
    assert (item.id_column, [c.name for c in item.columns]) == (
        "tweet_id",
        [n for n in reference.ITEM if n != "tweet_id"],
    )
    assert spec.row_set("item_vector").column("embedding").length == 128
    for row_set, path in ((user, "wnd_user.parquet"), (item, "wnd_item.parquet")):
        table = pq.read_table(output / path)
        for column in row_set.columns:
            assert str(table.schema.field(column.name).type) == {"int32": "int32", "float32": "float"}[column.type]
            if column.size is not None:
                values = table[column.name].to_pylist()
                assert 0 <= min(values) <= max(values) < column.size, column.name


def test_model_inputs_and_transforms(output):
    spec = FeatureSpec.load(output / "meta" / "spec.json")
    inputs = {one.name: f"{one.row_set}.{one.column}" for one in spec.model_inputs}
    assert list(inputs) == [
        *("engaged_with_user_is_verified", "enaging_user_is_verified", "present_media_language", "present_media"),
        *("tweet_type", "language", "engaged_with_user_follower_count", "engaged_with_user_following_count"),
        *("enaging_user_follower_count", "enaging_user_following_count", "engaged_with_user_id", "hashtags"),
        *("present_domains", "len_hashtags", "len_domains", "len_links"),
    ]
    assert inputs["enaging_user_follower_count"] == "user.follower_count"
    assert inputs["engaged_with_user_follower_count"] == "item.engaged_with_user_follower_count"
    by_output = {(one.op, one.outputs[-1]): one for one in spec.transforms}
    cross = by_output["cross_hash", "present_media_language"]
    assert (cross.inputs, cross.params) == (
        ("present_media", "language"),
        {"bins": 600, "method": "md5", "separator": ""},
    )
    hashtags = by_output["encode_vocabulary", "hashtags"]
    assert hashtags.params == {"vocabulary": "hashtags", "separator": "\t", "keep": "min"}
    assert by_output["encode_vocabulary", "enaging_user_id"].params == {"vocabulary": "user_id"}
    assert by_output["min_max_scale", "len_links"].params["low"] == 0.0
    assert by_output["encode_fixed", "tweet_type"].params["ids"] == {"Quote": 0, "Retweet": 1, "TopLevel": 2}


def changed(rows, **columns):
    return [{**row, **columns} for row in rows]


def retyped(directory, name, kind):
    path = next(directory.glob("*.parquet"))
    table = pq.read_table(path)
    index = table.column_names.index(name)
    pq.write_table(table.set_column(index, name, pa.nulls(table.num_rows, kind)), path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: (d / "train").rename(d / "gone"), "there is no file or directory .*train"),
        (lambda d: next((d / "test").iterdir()).unlink(), "test has no Parquet files"),
        (lambda d: next((d / "test").iterdir()).write_bytes(b"no"), r"part-00000-x\.parquet cannot be read as Parquet"),
        (
            lambda d: retyped(d / "train", "hashtags", pa.float64()),
            "column 'hashtags' has type double; it must be string",
        ),
        (lambda d: retyped(d / "test", "like_timestamp", pa.string()), "column 'like_timestamp' has type string"),
        (lambda d: retyped(d / "train", "language", pa.string()), "column 'language' is null in all 240 rows"),
        (
            lambda d: [retyped(d / "train", name, pa.int64()) for name in reference.TIMESTAMPS],
            "so none is positive",
        ),
    ],
)
def test_bad_input_is_named_before_any_job(raw, tmp_path, spoil, message):
    for name, rows in zip(("train", "test"), raw, strict=True):
        write_raw(tmp_path / name, rows, 1, 1000)
    spoil(tmp_path)
    with pytest.raises(FriesianError, match=message):
        read_raw(tmp_path, "all")


def test_empty_tables_and_missing_columns_are_named(raw, tmp_path):
    write_raw(tmp_path / "train", raw[0], 1, 1000)
    write_raw(tmp_path / "test", [], 1, 1000)
    with pytest.raises(FriesianError, match="test has no rows"):
        read_raw(tmp_path, "all")
    path = next((tmp_path / "train").iterdir())
    pq.write_table(pq.read_table(path).drop_columns(["tweet_id"]), path)
    with pytest.raises(FriesianError, match="train has no column 'tweet_id'"):
        read_raw(tmp_path, "all")


@pytest.mark.parametrize("train_files", ["", "3", "2-1", "a-b", "0-1-2"])
def test_wrong_train_files(raw, tmp_path, train_files):
    with pytest.raises(FriesianError, match="--train_files is"):
        read_raw(tmp_path, train_files)


def test_missing_train_files(raw, tmp_path):
    write_raw(tmp_path / "train", raw[0], 2, 1000)
    with pytest.raises(FriesianError, match=r"no .*part-00002\*\.parquet, which --train_files 0-3 names"):
        read_raw(tmp_path, "0-3")


def test_an_unknown_tweet_type_leaves_the_old_output(raw, tmp_path):
    write_raw(tmp_path / "train", changed(raw[0][:9], tweet_type="Shout"), 1, 1000)
    write_raw(tmp_path / "test", raw[1][:9], 1, 1000)
    (tmp_path / "preprocessed").mkdir()
    with pytest.raises(FriesianError, match="column 'tweet_type' has the value 'Shout'; it may be 'Quote'"):
        run(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["preprocessed", "test", "train"]
    assert list((tmp_path / "preprocessed").iterdir()) == []


@pytest.mark.slow
def test_the_command(raw, tmp_path):
    write_raw(tmp_path / "train", raw[0], 1, 1000)
    command = [sys.executable, "-m", "friesian_fast.usecases.recsys2021.preprocess", "--data_dir", str(tmp_path)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: there is no file or directory")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train"]
    write_raw(tmp_path / "test", raw[1], 1, 1000)
    done = subprocess.run(
        [*command, "--cross_sizes", "50", "--executor_cores", "2", "--executor_memory", "1g"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *steps, time = done.stdout.splitlines()
    assert steps == [
        "starting Spark",
        "counting the values of 300 records",
        "writing train_parquet",
        "writing test_parquet",
        "writing the distinct rows of users and items",
    ]
    assert time.startswith("Preprocessing and save time: ")
    assert done.stderr == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["preprocessed", "test", "train"]
