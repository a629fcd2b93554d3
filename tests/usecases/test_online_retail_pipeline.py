"""The steps on the real transactions, from the file to an open release."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from tests.usecases.online_retail import lines, real_file

from friesian_fast.errors import FriesianError, ReleaseMismatchError
from friesian_fast.release.candidates import CandidateStore
from friesian_fast.release.open import open_release
from friesian_fast.release.tables import read_columns
from friesian_fast.usecases.online_retail import boosted, report
from friesian_fast.usecases.online_retail.baselines import popularity
from friesian_fast.usecases.online_retail.evaluate import Truth, means, truth_of
from friesian_fast.usecases.online_retail.examples import input_rows, months_before
from friesian_fast.usecases.online_retail.features import PAIR_COLUMNS
from friesian_fast.usecases.online_retail.page import METRICS, write_report
from friesian_fast.usecases.online_retail.prepare import read_split
from friesian_fast.usecases.online_retail.proposals import Proposed
from friesian_fast.usecases.online_retail.report import RETRIEVED, SERVED, TREES
from friesian_fast.usecases.online_retail.served import Catalogue, explanations, served_lists, served_values
from friesian_fast.usecases.online_retail.train import listed

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
        "candidate": 3970,
    }
    user = np.array([17850], np.int64)
    vector = release.row_store("user_vector").decode(user).columns["embedding"]
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
    proposed = CandidateStore(release.row_store("candidate")).of(user)
    candidates = release.index().ids_at(proposed.positions)
    assert 200 <= len(set(candidates)) == len(candidates) <= 400
    columns = {
        "user": release.row_store("user").decode(np.repeat(user, len(candidates))).columns,
        "item": release.row_store("item").decode(candidates).columns,
        "candidate": proposed.columns,
    }
    inputs = {value.name: columns[value.row_set][value.column] for value in release.spec.model_inputs}
    (scores,) = onnxruntime.InferenceSession(release.ranker_path).run(["score"], inputs)
    assert ((scores > 0) & (scores < 1)).all()
    assert len(release.popular) == 1000
    assert release.popular[0].score > release.popular[-1].score > 0


@pytest.mark.slow
def test_what_is_learnt_beats_popularity(home):
    metrics = open_release(home / "releases").manifest.metrics
    assert metrics["two_tower_recall@50"] > 1.5 * metrics["popularity_recall@50"]
    assert metrics["two_tower_ndcg@10"] > 1.5 * metrics["popularity_ndcg@10"]
    for name in ("recall@50", "ndcg@10", "new_recall@50", "new_ndcg@10"):
        assert metrics[f"served_{name}"] > metrics[f"retrieved_{name}"] > metrics[f"popularity_{name}"]
    assert metrics["auc"] > 0.8
    assert metrics["new_auc"] > 0.7


def on_arrays(home, release, catalogue):
    """The proposals as train wrote them, and the model's scores of all of them at once."""
    table = read_columns(home / "models" / "candidates.parquet", ["user_id", "item_id", "score", *PAIR_COLUMNS])
    pairs = table.to_pandas()
    user, item = catalogue.users.get_indexer(pairs["user_id"]), catalogue.items.get_indexer(pairs["item_id"])
    columns = {name: pairs[name].to_numpy() for name in PAIR_COLUMNS}
    owned = catalogue.owned[user, item]
    proposed = Proposed(user=user, item=item, score=pairs["score"].to_numpy(), owned=owned, columns=columns)
    frames = [pd.read_parquet(home / "prepared" / f"{name}.parquet") for name in ("user", "item")]
    rows = input_rows(release.spec, *frames, proposed)
    return proposed, onnxruntime.InferenceSession(release.ranker_path).run(["score"], rows)[0]


@pytest.mark.slow
@pytest.mark.parametrize("hide_seen", [False, True], ids=["with what was bought", "new only"])
def test_what_is_measured_on_arrays_is_what_is_served(home, hide_seen):
    published = open_release(home / "releases")
    entry = published.manifest.ranker  # the runtime that was the fastest today may round otherwise
    exact = replace(entry, runtime="onnxruntime-fp32", model=entry.file)
    release = replace(published, manifest=replace(published.manifest, ranker=exact))
    sales = pd.read_parquet(home / "prepared" / "sales.parquet")
    catalogue = Catalogue.of(release, sales)
    proposed, scores = on_arrays(home, release, catalogue)
    users = np.arange(0, len(catalogue.users), 7)
    offline = listed(proposed, scores, catalogue.owned.shape, users, new=hide_seen)
    served = served_lists(release, catalogue, users, hide_seen=hide_seen)
    same = (offline == served).all(axis=1)
    # A score may round otherwise among other rows, which turns a near-tie around.
    assert same.mean() > 0.97
    assert (np.sort(offline) == np.sort(served)).all(axis=1).mean() > 0.99


@pytest.mark.slow
def test_the_metrics_in_the_manifest_are_of_what_is_served(home):
    release = open_release(home / "releases")
    sales = pd.read_parquet(home / "prepared" / "sales.parquet")
    catalogue = Catalogue.of(release, sales)
    bought = pd.read_parquet(home / "prepared" / "test_purchases.parquet")
    values = served_values(release, catalogue, truth_of(bought, catalogue.users, catalogue.items))
    for name, mean in means(values).items():
        assert mean == pytest.approx(release.manifest.metrics[f"served_{name}"], abs=5e-4), name


@pytest.mark.slow
def test_the_report_measures_the_release(home, tmp_path, monkeypatch):
    """On every tenth user, the cheapest baseline, two months of examples and few trees."""
    monkeypatch.setattr(report, "FAMILIES", {"popularity": popularity})
    monkeypatch.setattr(report, "months_before", lambda split: months_before(split)[1:])
    monkeypatch.setattr(boosted, "ROUNDS", 5)
    monkeypatch.setattr(boosted, "LEAVES", (7,))

    def some(*args):
        truth = truth_of(*args)
        return Truth(users=truth.users[::10], bought=truth.bought[::10], totals=truth.totals[::10])

    monkeypatch.setattr(report, "truth_of", some)
    findings = report.measure(home / "prepared", open_release(home / "releases"), seed=0)
    served, retrieved, popular = (findings.intervals(name) for name in (SERVED, RETRIEVED, "popularity"))
    for metric in ("recall@50", "ndcg@10"):
        assert served[metric].value > retrieved[metric].value > popular[metric].value
    for metric in METRICS:
        assert findings.intervals(TREES)[metric].value > popular[metric].value
    assert findings.newcomers.users == 37  # every tenth of 364
    for peers in findings.peers.values():
        assert peers.difference.value == pytest.approx(peers.ranker.value - peers.trees.value)
        assert peers.ranker.value > 0.65
        assert peers.trees.value > 0.5
    html = write_report(findings, tmp_path / "out", seed=0).read_text()
    assert html.count("<h3>User ") == 10


@pytest.mark.slow
def test_a_release_that_has_seen_the_test_period_is_refused(home, tmp_path):
    release = open_release(home / "releases")
    done = run(tmp_path, "prepare", "--data", real_file(), "--split", "2011-10-01", "--until", "2011-11-01")
    assert done.returncode == 0, done.stderr
    with pytest.raises(ReleaseMismatchError, match="knows other users or items than"):
        report.measure(tmp_path / "prepared", release, seed=0)


@pytest.mark.slow
def test_a_release_of_other_days_is_refused(home, tmp_path):
    """The vocabularies are the same, the days since the last order are not."""
    shutil.copytree(home / "prepared", tmp_path / "prepared")
    users = pd.read_parquet(tmp_path / "prepared" / "user.parquet")
    users.loc[5, "recency"] += 0.001
    users.to_parquet(tmp_path / "prepared" / "user.parquet")
    with pytest.raises(ReleaseMismatchError, match="has other user rows than"):
        report.measure(tmp_path / "prepared", open_release(home / "releases"), seed=0)


@pytest.mark.slow
def test_sales_of_whom_the_release_does_not_know_are_refused(home):
    sales = pd.read_parquet(home / "prepared" / "sales.parquet").tail(3)
    for name, stranger in (("user_id", 99999), ("item_id", "99999Z")):
        other = sales.assign(**{name: [*sales[name][:2], stranger]})
        with pytest.raises(ReleaseMismatchError, match=f"{stranger}, whom release"):
            Catalogue.of(open_release(home / "releases"), other)


@pytest.mark.slow
def test_popular_items_are_not_measured_as_the_rankers(home):
    sales = pd.read_parquet(home / "prepared" / "sales.parquet")
    release = open_release(home / "releases")
    catalogue = Catalogue.of(release, sales)
    strangers = replace(catalogue, users=catalogue.users.where(catalogue.users != catalogue.users[3], 99999))
    for asked in (served_lists, lambda *args, **kwargs: list(explanations(*args, **kwargs))):
        with pytest.raises(FriesianError, match="answers user 99999, who has history, with the popular items"):
            asked(release, strangers, np.array([2, 3]), hide_seen=False)


@pytest.mark.slow
def test_preparing_again_gives_the_same_bytes(home):
    before = {path.name: path.read_bytes() for path in (home / "prepared").iterdir() if path.is_file()}
    done = run(home, "prepare", "--data", real_file())
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in (home / "prepared").iterdir() if path.is_file()} == before
    report = json.loads((home / "prepared" / "meta" / "prepare.json").read_text())
    assert read_split(home / "prepared") == pd.Timestamp("2011-11-01")
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
