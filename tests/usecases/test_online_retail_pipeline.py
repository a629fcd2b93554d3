"""The steps on the real transactions, from the file to an open release."""

import json
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from tests.usecases.online_retail import lines, real_file

from friesian_fast.release.open import open_release

HERE = "friesian_fast.usecases.online_retail"


def run(home, step, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"{HERE}.{step}", *map(str, arguments)],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """All steps, each model trained for one epoch."""
    home = tmp_path_factory.mktemp("online_retail")
    steps = (
        ("prepare", "--data", real_file()),
        ("train", "--epochs", 1, "--ranker_epochs", 1, "--executor_cores", 2),
        ("publish",),
    )
    for step in steps:
        done = run(home, *step)
        assert done.returncode == 0, done.stderr
        assert all(line.startswith("publish: ") for line in done.stderr.splitlines()), done.stderr
    return home


@pytest.mark.slow
def test_the_release_serves_users_and_items(home):
    release = open_release(home / "releases")
    assert {name: entry.rows for name, entry in release.manifest.row_sets.items()} == {
        "user": 3970,
        "item": 3607,
        "user_vector": 3970,
        "item_vector": 3607,
        "seen": 3970,
    }
    user = np.array([17850], np.int64)
    vector = release.row_store("user_vector").decode(user).columns["embedding"]
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
    ids, _ = release.index().search(vector, 50)
    candidates = ids[0].tolist()
    assert len(set(candidates)) == 50
    rows = {
        "user": release.row_store("user").decode(np.repeat(user, 50)),
        "item": release.row_store("item").decode(candidates),
    }
    assert rows["item"].found.all()
    inputs = {value.name: rows[value.row_set].columns[value.column] for value in release.spec.model_inputs}
    (scores,) = onnxruntime.InferenceSession(release.ranker_path).run(["score"], inputs)
    assert scores.shape == (50,)
    assert ((scores > 0) & (scores < 1)).all()
    assert len(release.popular) == 1000
    assert release.popular[0].score > release.popular[-1].score > 0


@pytest.mark.slow
def test_what_is_learnt_beats_popularity(home):
    metrics = open_release(home / "releases").manifest.metrics
    assert metrics["two_tower_recall@50"] > 1.5 * metrics["popularity_recall@50"]
    assert metrics["two_tower_ndcg@10"] > 1.5 * metrics["popularity_ndcg@10"]
    assert metrics["reranked_new_ndcg@10"] > metrics["popularity_new_ndcg@10"]
    assert metrics["auc"] > 0.7
    assert metrics["auc_sampled"] > 0.65


@pytest.mark.slow
def test_preparing_again_gives_the_same_bytes(home):
    before = {path.name: path.read_bytes() for path in (home / "prepared").iterdir() if path.is_file()}
    done = run(home, "prepare", "--data", real_file())
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in (home / "prepared").iterdir() if path.is_file()} == before
    report = json.loads((home / "prepared" / "meta" / "prepare.json").read_text())
    assert (report["rows"], report["sales"]) == (541_909, 396_337)


def test_sales_on_one_side_of_the_split_are_refused_and_leave_nothing(tmp_path):
    lines({}).to_parquet(tmp_path / "few.parquet")
    done = run(tmp_path, "prepare", "--data", "few.parquet")
    assert done.returncode == 1
    assert "both sides of 2011-11-01" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["few.parquet"]


def test_only_prepared_tables_are_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    few = tmp_path / "mine" / "few.parquet"
    lines({}).to_parquet(few)
    done = run(tmp_path, "prepare", "--data", few, "--out", "mine")
    assert "error: mine holds other things than prepared tables" in done.stderr
    (tmp_path / "mine" / "meta").mkdir()
    (tmp_path / "mine" / "meta" / "prepare.json").touch()
    done = run(tmp_path, "prepare", "--data", few, "--out", "mine")
    assert "few.parquet lies in mine, which would be replaced" in done.stderr
    done = run(tmp_path, "prepare", "--data", few, "--out", few)
    assert "few.parquet is a file" in done.stderr
    assert few.is_file()


def test_a_failed_publish_leaves_nothing(tmp_path):
    (tmp_path / "models").mkdir()
    done = run(tmp_path, "publish")
    assert done.returncode == 1
    assert "there is no feature spec at prepared/meta/spec.json" in done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["models"]


def test_steps_out_of_order_say_what_to_run_first(tmp_path):
    done = run(tmp_path, "train")
    assert done.returncode == 1
    assert "error: there is no feature spec at prepared/meta/spec.json" in done.stderr
    done = run(tmp_path, "publish")
    assert done.returncode == 1
    assert "run the train step first" in done.stderr
