"""Whatever is wrong with the training steps' input is named, and nothing is written."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.reference.recsys_tables import write_preprocessed

from friesian_fast.usecases.recsys2021 import predict_two_tower, train_two_tower, train_wnd
from friesian_fast.usecases.recsys2021.train_wnd import Schedule

STEPS = [train_wnd, train_two_tower]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    data = tmp_path_factory.mktemp("good") / "preprocessed"
    write_preprocessed(data, rows=60)
    return data


@pytest.fixture
def data(good, tmp_path):
    return shutil.copytree(good, tmp_path / "preprocessed")


def change(data, split="train", **columns):
    path = data / f"{split}_parquet" / "part-00000.parquet"
    table = pq.read_table(path).to_pydict()
    for name, edit in columns.items():
        if edit is None:
            del table[name]
        else:
            table[name] = edit(table[name])
    pq.write_table(pa.table(table), path)


def fails(step, data, capsys, **settings):
    with pytest.raises(SystemExit) as stopped:
        step.main(data, data.parent / "model", **settings)
    assert stopped.value.code == 1
    assert not (data.parent / "model").exists()
    return capsys.readouterr().err


@pytest.mark.parametrize("step", [*STEPS, predict_two_tower])
def test_directories_without_data(step, tmp_path, capsys):
    assert "there is no directory" in fails(step, tmp_path / "missing", capsys)
    (tmp_path / "empty").mkdir()
    assert "is empty; run the preprocess step first" in fails(step, tmp_path / "empty", capsys)


@pytest.mark.parametrize("step", STEPS)
def test_missing_parts(step, data, capsys):
    change(data, tweet_type=None)
    assert "no column 'tweet_type'" in fails(step, data, capsys)
    shutil.rmtree(data / "train_parquet")
    assert "there is no table at" in fails(step, data, capsys)
    (data / "meta" / "categorical_sizes.json").unlink()
    assert "categorical_sizes.json; run the preprocess step first" in fails(step, data, capsys)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("columns", "messages"),
    [
        (
            {"label": lambda v: [1] * len(v)},
            ("all 60 values of label 'label' are 1; there is nothing to tell apart", "all 60 labels are 1; both cl"),
        ),
        ({"label": lambda v: [7, *v[1:]]}, ("column 'label' holds 7.0 in row 0", "a label is neither 0 nor 1")),
        ({"len_links": lambda v: [float("nan"), *v[1:]]}, ("column 'len_links' holds nan in row 0",) * 2),
        (
            {"language": lambda v: [66, *v[1:]]},
            (
                "column 'language' holds id 66 in row 0 of its row group 0, outside [0, 66)",
                "column 'language' holds id 66 in row 0, outside [0, 66)",
            ),
        ),
        (
            {"language": lambda v: [None, *v[1:]]},
            ("column 'language' has no value in row 0", "column 'language' holds 1 nulls"),
        ),
        (
            {"tweet_type": lambda v: ["Quote"] * len(v)},
            ("column 'tweet_type' is of string; a model takes", "column 'tweet_type' does not fit int32"),
        ),
    ],
)
def test_bad_columns(step, data, capsys, columns, messages):
    """The ranker's table is read while it trains, the towers' is read first and changed."""
    change(data, **columns)
    error = fails(step, data, capsys)
    assert messages[STEPS.index(step)] in error
    assert "train_parquet" in error


@pytest.mark.parametrize("step", STEPS)
def test_an_empty_table(step, data, capsys):
    path = data / "test_parquet" / "part-00000.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    error = fails(step, data, capsys)
    assert "test_parquet" in error
    assert ("has no rows" if step is train_wnd else "is empty") in error


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("text", "message"), [("{", "is not valid JSON"), ("[1]", "not a mapping"), ("{}", "no usable size")]
)
def test_bad_sizes(step, data, capsys, text, message):
    (data / "meta" / "categorical_sizes.json").write_text(text)
    assert message in fails(step, data, capsys)


@pytest.mark.parametrize(
    ("step", "settings", "message"),
    [
        (train_wnd, {"hidden_units": "1024, many"}, "--hidden_units is '1024, many'"),
        (train_wnd, {"hidden_units": "0"}, "--hidden_units is '0'"),
        (train_wnd, {"epoch": 0}, "it must be a whole number of at least 1"),
        (train_wnd, {"dropout": 1.0}, "--dropout is 1.0; it must be at least 0 and below 1"),
        (train_wnd, {"learning_rate": -1.0, "schedule": Schedule.linear}, "learning rate must be above 0"),
        (train_wnd, {"backend": "dask"}, "--backend is 'dask'"),
        (train_wnd, {"cluster_mode": "mesos"}, "--cluster_mode is 'mesos'"),
        (train_two_tower, {"frequency_limit": 0}, "--frequency_limit is 0"),
        (train_two_tower, {"lr": -1.0}, "learning rate must be above 0"),
        (predict_two_tower, {"batch_size": 0}, "--batch_size is 0"),
        (predict_two_tower, {}, "run the train_two_tower step first"),
    ],
)
def test_bad_settings(step, data, capsys, settings, message):
    assert message in fails(step, data, capsys, **settings)


def test_a_broken_tower(data, tmp_path, capsys):
    pq.write_table(pa.table({"x": np.arange(3)}), data / "user_item_parquet")
    (tmp_path / "2tower").mkdir()
    for side in ("user", "item"):
        (tmp_path / "2tower" / f"{side}-model.onnx").write_bytes(b"no model")
    with pytest.raises(SystemExit):
        predict_two_tower.main(data, tmp_path / "2tower")
    assert "user-model.onnx is not a readable ONNX model; train again" in capsys.readouterr().err
    assert not (data / "user_ebd.parquet").exists()


def test_a_failed_training_leaves_the_old_report(data, tmp_path, capsys):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "ranker.json").write_text(json.dumps({"old": True}))
    change(data, label=lambda v: [0] * len(v))
    with pytest.raises(SystemExit):
        train_wnd.main(data, tmp_path / "model")
    assert json.loads((tmp_path / "model" / "ranker.json").read_text()) == {"old": True}
