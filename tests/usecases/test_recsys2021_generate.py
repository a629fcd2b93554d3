"""The generator keeps the original's schema and distributions, and plants what it says."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.usecases.recsys2021 import generate as generator
from friesian_fast.usecases.recsys2021.generate import Settings, generate, main
from friesian_fast.usecases.recsys2021.schema import LABEL_COLUMNS, RAW_COLUMNS

RECORDS = 4000


def read(directory, split):
    return pq.read_table(directory / split)


def labels_of(table):
    return np.any([pc.is_valid(table[name]).to_numpy() for name in LABEL_COLUMNS], axis=0)


def digests(directory):
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    out = tmp_path_factory.mktemp("raw") / "data"
    generate(Settings(records=RECORDS), out, threads=2)
    return out


@pytest.fixture(scope="module")
def everything(records):
    return pa.concat_tables([read(records, "train"), read(records, "test")])


def test_writes_spark_like_directories(records):
    assert sorted(path.name for path in records.iterdir()) == ["generator.json", "test", "train"]
    for split in ("train", "test"):
        names = sorted(path.name for path in (records / split).iterdir())
        assert names == ["_SUCCESS", *(f"part-{part:05d}.snappy.parquet" for part in range(4))]
    compression = pq.ParquetFile(records / "train" / "part-00000.snappy.parquet").metadata.row_group(0).column(0)
    assert compression.compression == "SNAPPY"


def test_schema_is_the_originals(everything):
    found = {field.name: str(field.type) for field in everything.schema}
    assert found == RAW_COLUMNS
    assert list(found) == list(RAW_COLUMNS)
    assert len(found) == 24


def test_split_is_80_to_20(records, everything):
    assert everything.num_rows == RECORDS
    assert read(records, "train").num_rows / RECORDS == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    ("column", "fewest", "most"),
    [("text_tokens", 1, 10), ("hashtags", 0, 50), ("present_links", 0, 10), ("present_domains", 0, 10)],
)
def test_lists_have_uniform_lengths(everything, column, fewest, most):
    texts = everything[column].to_pylist()
    lengths = np.array([text.count("\t") + 1 if text else 0 for text in texts])
    counts = np.bincount(lengths, minlength=most + 1)
    assert (lengths.min(), lengths.max()) == (fewest, most)
    expected = RECORDS / (most - fewest + 1)
    assert (np.abs(counts[fewest:] - expected) < 5 * np.sqrt(expected)).all()


def test_values_are_the_originals(everything):
    columns = {name: everything[name].to_pylist() for name in RAW_COLUMNS if RAW_COLUMNS[name] == "string"}
    letters = set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    for name in ("tweet_id", "engaged_with_user_id", "enaging_user_id"):
        assert len(set(columns[name])) == RECORDS
    for name in ("hashtags", "present_links", "present_domains", "language"):
        tokens = [token for text in columns[name] for token in text.split("\t") if text]
        assert {len(token) for token in tokens} == {32}
        assert set().union(*tokens[:500]) == letters
    assert len(set(columns["language"])) == 65
    assert set(columns["tweet_type"]) == {"Quote", "Retweet", "TopLevel"}
    assert {token for text in columns["present_media"] for token in text.split("\t")} == {"Photo", "Video", "GIF", ""}
    assert {int(token) for text in columns["text_tokens"] for token in text.split("\t")} == set(range(1, 1001))
    assert set(columns["engagee_follows_engager"]) == {"true", "false"}


def test_numbers_are_the_originals(everything):
    for role in ("engaged_with_user", "enaging_user"):
        for name in ("follower_count", "following_count"):
            bounds = pc.min_max(everything[f"{role}_{name}"]).as_py()
            assert 0 <= bounds["min"] < 20
            assert 9980 < bounds["max"] <= 10_000
        assert pc.mean(everything[f"{role}_is_verified"]).as_py() == pytest.approx(0.5, abs=0.05)
        bounds = pc.min_max(everything[f"{role}_account_creation"]).as_py()
        assert bounds["min"] >= 946_656_000
        assert bounds["max"] <= 1_609_430_400


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads(records, tmp_path):
    generate(Settings(records=RECORDS), tmp_path / "again", threads=1)
    generate(Settings(records=RECORDS, seed=1), tmp_path / "other", threads=2)
    assert digests(tmp_path / "again") == digests(records)
    assert digests(tmp_path / "other") != digests(records)


def test_noise_is_the_originals(tmp_path):
    report = generate(Settings(records=RECORDS, signal=0), tmp_path / "noise")
    table = read(tmp_path / "noise", "train")
    for name in LABEL_COLUMNS:
        assert table[name].null_count / table.num_rows == pytest.approx(0.5, abs=0.05)
    assert labels_of(table).mean() == pytest.approx(15 / 16, abs=0.02)
    assert report["test"]["optimum_auc"] == 0.5


def test_repeating_ids_keep_their_attributes(tmp_path):
    report = generate(Settings(records=RECORDS, users=300, items=100), tmp_path / "repeated")
    table = pa.concat_tables([read(tmp_path / "repeated", split) for split in ("train", "test")]).to_pandas()
    assert table["tweet_id"].nunique() <= 100
    item_columns = [*list(RAW_COLUMNS)[:14]]
    assert len(table[item_columns].drop_duplicates()) == table["tweet_id"].nunique()
    roles = []
    for role in ("engaged_with_user", "enaging_user"):
        columns = [name for name in table if name.startswith(f"{role}_")]
        roles.append(table[columns].set_axis([name.removeprefix(f"{role}_") for name in columns], axis=1))
    users = np.unique(np.concatenate([role["id"] for role in roles]))
    assert len(users) <= 300
    both = roles[0].merge(roles[1], on="id", how="inner", suffixes=("", "_2"))
    assert len(both)
    assert (both["follower_count"] == both["follower_count_2"]).all()
    counts = table["tweet_id"].value_counts()
    assert counts.iloc[0] > 2 * counts.median()
    assert 0.7 < report["test"]["optimum_auc"] < 0.85


def test_the_report_is_written_and_told(tmp_path, capsys):
    main(400, tmp_path / "out", seed=3)
    report = json.loads((tmp_path / "out" / "generator.json").read_text())
    assert (report["records"], report["seed"], report["signal"]) == (400, 3, 1.0)
    assert report["train"]["rows"] + report["test"]["rows"] == 400
    assert "best possible AUC" in capsys.readouterr().out


def test_one_record_is_possible(tmp_path):
    report = generate(Settings(records=1), tmp_path / "one")
    assert report["train"]["rows"] + report["test"]["rows"] == 1
    assert read(tmp_path / "one", "test").schema.names == list(RAW_COLUMNS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"records": 0}, "cannot generate 0 records"),
        ({"records": 5, "signal": -1.0}, "--signal is -1.0"),
        ({"records": 5, "signal": float("nan")}, "--signal is nan"),
        ({"records": 5, "users": 5}, "--users and --items belong together"),
        ({"records": 5, "users": 5, "items": 1}, "at least 2 of each"),
        ({"records": 5, "seed": -1}, "--seed is -1"),
    ],
)
def test_settings_that_cannot_work_are_named(settings, message):
    with pytest.raises(InvalidInputError, match=message):
        Settings(**settings)


def test_what_is_there_is_not_overwritten(records):
    before = digests(records)
    with pytest.raises(InvalidInputError, match="not empty; remove it or name another place"):
        generate(Settings(records=10), records)
    assert digests(records) == before


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(generator.pq, "write_table", fail)
    with pytest.raises(OSError, match="no space"):
        generate(Settings(records=100), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
