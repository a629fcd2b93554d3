"""The training steps on small preprocessed tables: what they write, and what they refuse."""

import json
import shutil

import keras
import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tests.reference.recsys_tables import write_preprocessed

from friesian_fast.evaluate.pointwise import auc
from friesian_fast.train.forward import predict
from friesian_fast.usecases.recsys2021 import predict_two_tower, report, train_two_tower, train_wnd
from friesian_fast.usecases.recsys2021.tables import Sizes

# The original's sixteen inputs, in its order.
INPUTS = [
    "engaged_with_user_is_verified",
    "enaging_user_is_verified",
    "present_media_language",
    "present_media",
    "tweet_type",
    "language",
    "engaged_with_user_follower_count",
    "engaged_with_user_following_count",
    "enaging_user_follower_count",
    "enaging_user_following_count",
    "engaged_with_user_id",
    "hashtags",
    "present_domains",
    "len_hashtags",
    "len_domains",
    "len_links",
]
WND = {"batch_size": 200, "epoch": 1, "learning_rate": 1e-3, "early_stopping": 0, "hidden_units": "16, 8"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    home = tmp_path_factory.mktemp("recsys")
    write_preprocessed(home / "preprocessed")
    (home / "generator.json").write_text(json.dumps({"test": {"optimum_auc": 0.78}}))
    return home / "preprocessed"


@pytest.fixture(scope="module")
def ranker(data):
    train_wnd.main(data, data.parent / "wnd", **WND)
    return data.parent / "wnd"


@pytest.fixture(scope="module")
def vectors(data):
    train_two_tower.main(data, data.parent / "2tower", batch_size=500, frequency_limit=5)
    predict_two_tower.main(data, data.parent / "2tower", batch_size=700)
    return data


def test_the_ranker_is_written_in_all_formats(ranker, data):
    assert sorted(path.name for path in ranker.iterdir()) == [
        "ranker.json",
        "ranker.keras",
        "ranker.onnx",
        "saved_model",
    ]
    report = json.loads((ranker / "ranker.json").read_text())
    assert report["max_error"] < 1e-5
    assert report["metrics"]["optimum_auc"] == 0.78
    assert 0 < report["metrics"]["val_auc"] < 1
    session = onnxruntime.InferenceSession(ranker / "ranker.onnx")
    assert [value.name for value in session.get_inputs()] == INPUTS
    rows = train_wnd.first_rows(data / "test_parquet", train_wnd.model_inputs(Sizes(data)), 1000)
    (scores,) = session.run(["score"], {name: rows[name] for name in INPUTS})
    np.testing.assert_allclose(scores, predict(keras.models.load_model(ranker / "ranker.keras"), rows), atol=1e-5)


def test_the_report_is_one_page_that_fetches_nothing(ranker, data, tmp_path, capsys):
    report.main(data, ranker, tmp_path / "training.html")
    page = (tmp_path / "training.html").read_text()
    for text in (
        "best possible AUC",
        "0.7800",
        "missed; the 95 % interval of the AUC less the goal, the best taken as fixed, excludes 0",
        "Learning curves",
        "Calibration",
        "rows a second",
    ):
        assert text in page
    assert page.count("<svg") == 3
    assert "http://www.w3.org/2000/svg" in page
    assert page.replace("http://www.w3.org/2000/svg", "").count("http") == 0
    told = json.loads((ranker / "ranker.json").read_text())
    rows = train_wnd.first_rows(data / "test_parquet", train_wnd.model_inputs(Sizes(data)), 1000)
    labels = pq.read_table(data / "test_parquet")["label"].to_numpy()
    value = auc(labels, predict(keras.models.load_model(ranker / "ranker.keras"), rows))
    assert f"{value:.4f}" in page
    assert told["metrics"]["val_auc"] == pytest.approx(value, abs=1e-4)
    (tmp_path / "ranker.json").write_text(json.dumps({"metrics": {}}))
    for directory, message in ((tmp_path / "none", "run the train_wnd step first"), (tmp_path, "train_wnd step again")):
        with pytest.raises(SystemExit):
            report.main(data, directory, tmp_path / "training.html")
        assert message in capsys.readouterr().err


def test_the_towers_write_one_unit_vector_per_id(vectors):
    users, items = (pq.read_table(vectors / f"{side}_ebd.parquet") for side in ("user", "item"))
    assert users.schema.names == ["user_id", "prediction"]
    assert items.schema.names == ["tweet_id", "prediction"]
    tables = [pq.read_table(vectors / f"{split}_parquet").to_pandas() for split in ("train", "test")]
    seen = {role: np.concatenate([table[role] for table in tables]) for role in ("enaging_user_id", "tweet_id")}
    authors = np.concatenate([table["engaged_with_user_id"] for table in tables])
    expected = np.setdiff1d(np.concatenate([seen["enaging_user_id"], authors]), [0])
    assert users["user_id"].to_pylist() == expected.tolist()
    assert items["tweet_id"].to_pylist() == np.setdiff1d(seen["tweet_id"], [0]).tolist()
    for table in (users, items):
        matrix = np.array(table["prediction"].to_pylist(), dtype=np.float32)
        assert matrix.shape == (table.num_rows, 128)
        np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), 1, atol=1e-5)


def test_user_vectors_are_those_of_the_named_columns(vectors):
    """The original fed the columns by position, and so ids as flags."""
    serve = tf.saved_model.load(vectors.parent / "2tower" / "user-model").signatures["serving_default"]
    table = pq.read_table(vectors / "user_item_parquet").to_pandas()
    first = table.drop_duplicates("enaging_user_id").set_index("enaging_user_id", drop=False).loc[[7]]
    names = [name for name in table if name.startswith("enaging_user")]
    (vector,) = serve(**{name: tf.constant(first[name].to_numpy()) for name in names}).values()
    written = pq.read_table(vectors / "user_ebd.parquet").to_pandas().set_index("user_id")
    np.testing.assert_allclose(written.loc[7, "prediction"], vector.numpy()[0], atol=1e-5)
    assert len(np.unique(np.stack(written["prediction"].to_list()).round(5), axis=0)) > 0.95 * len(written)


def test_rare_ids_are_folded_together(vectors):
    mapping = pq.read_table(vectors / "embed_reindex_hashtags").to_pandas()
    counts = pq.read_table(vectors / "train_parquet")["hashtags"].to_pandas().value_counts()
    assert set(mapping["hashtags"]) == set(counts.index[counts >= 5])
    assert mapping["hashtags_new"].tolist() == list(range(1, len(mapping) + 1))
    assert (np.diff(counts[mapping["hashtags"]]) <= 0).all()


def test_no_id_need_be_frequent(data, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    train_two_tower.main(tmp_path / "data", tmp_path / "2tower", batch_size=1500, frequency_limit=10**6)
    assert pq.read_table(tmp_path / "data" / "embed_reindex_hashtags").num_rows == 0
    assert json.loads((tmp_path / "2tower" / "two_tower.json").read_text())["max_error"] < 1e-5


@pytest.mark.parametrize("step", [train_wnd, train_two_tower, predict_two_tower])
def test_the_originals_backend_is_accepted_with_a_warning(step, tmp_path, capsys):
    with pytest.raises(SystemExit):
        step.main(tmp_path / "missing", backend="spark")
    assert "warning: --backend spark has no effect" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("strength", "least", "most"), [(1.0, 0.69, 0.80), (0.0, 0.47, 0.53)])
def test_learns_the_signal_and_nothing_else(tmp_path, strength, least, most):
    write_preprocessed(tmp_path / "data", rows=20_000, strength=strength)
    settings = {"batch_size": 400, "epoch": 5, "learning_rate": 1e-3, "early_stopping": 0, "hidden_units": "64, 64"}
    train_wnd.main(tmp_path / "data", tmp_path / "wnd", **settings)
    metrics = json.loads((tmp_path / "wnd" / "ranker.json").read_text())["metrics"]
    assert least < metrics["val_auc"] < most
