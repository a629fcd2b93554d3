"""What falls short of a requirement is not published, and the message has every number."""

import json
import re

import numpy as np
import pytest
from tests.release.conftest import write_ranker
from typer.testing import CliRunner

from friesian_fast.cli.main import app
from friesian_fast.errors import InvalidInputError, NotFoundError, QualityGateError
from friesian_fast.release.gates import Gate, ReleaseMetrics, check_gates, release_metrics


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("ndcg@10>=0.05", Gate("ndcg@10", ">=", 0.05)),
        (" val_auc > .5 ", Gate("val_auc", ">", 0.5)),
        ("loss<=1e-1", Gate("loss", "<=", 0.1)),
        ("gini < 1", Gate("gini", "<", 1.0)),
    ],
)
def test_a_requirement_is_a_metric_a_sign_and_a_number(text, gate):
    assert Gate.parse(text) == gate


@pytest.mark.parametrize("text", ["", "ndcg@10", "ndcg@10=0.05", ">=0.05", "auc>=high", "auc>=nan", "auc>=0.1 or more"])
def test_anything_else_is_refused(text):
    with pytest.raises(InvalidInputError, match="is no requirement; write a metric, a sign and a number"):
        Gate.parse(text)


def test_bounds_count_as_they_are_written():
    for text in ("a>=0.5", "a<=0.5", "a>0.4", "a<0.6"):
        check_gates([Gate.parse(text)], ReleaseMetrics({"a": 0.5}))
    for text in ("a>0.5", "a<0.5", "a>=0.6", "a<=0.4"):
        with pytest.raises(QualityGateError, match=r"a is 0\.5, "):
            check_gates([Gate.parse(text)], ReleaseMetrics({"a": 0.5}))
    with pytest.raises(QualityGateError, match="a is nan"):
        check_gates([Gate.parse("a<1")], ReleaseMetrics({"a": float("nan")}))


def test_all_that_falls_short_is_named():
    gates = [Gate.parse(text) for text in ("auc>=0.7", "ndcg@10>=0.05", "loss<1")]
    message = r"nothing is published: auc is 0\.6, >= 0\.7 is required; ndcg@10 was not measured, .* at hand: auc, loss"
    with pytest.raises(QualityGateError, match=message):
        check_gates(gates, ReleaseMetrics({"auc": 0.6, "loss": 0.5}))


def test_metrics_of_training_and_of_an_evaluation(tmp_path):
    report = {
        "ranking": {"ndcg@10": {"value": 0.06, "low": 0.05, "high": 0.07}},
        "pointwise": {"auc": 0.8},
        "lists": {},
    }
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    assert release_metrics({"metrics": {"auc": 0.7, "name": "x", "good": True}}, None) == ReleaseMetrics({"auc": 0.7})
    assert release_metrics({"metrics": {"auc": 0.7}}, path) == ReleaseMetrics({"auc": 0.8, "ndcg@10": 0.06})
    path.write_text("[]")
    with pytest.raises(InvalidInputError, match="is no report of friesian evaluate"):
        release_metrics({}, path)
    with pytest.raises(NotFoundError, match=r"friesian evaluate writes a report\.json"):
        release_metrics({}, tmp_path / "nowhere.json")


EPOCH = {"loss": 0.3, "auc": 0.95}
WITH_VALIDATION = {**EPOCH, "val_auc": 0.71}
SPEEDS = {"rows_per_second": 9000.0, "input_wait": 0.1}
LEARNT = "auc was measured on the rows that were trained on"


@pytest.mark.parametrize(
    ("training", "why"),
    [
        ({"metrics": EPOCH, "history": [EPOCH]}, LEARNT),
        ({"metrics": EPOCH, "history": [EPOCH, {"loss": 0.2, "auc": 0.97}]}, LEARNT),
        ({"metrics": EPOCH, "history": {"loss": [0.5, 0.3], "auc": [0.8, 0.95]}}, LEARNT),
        ({"metrics": {"auc": 0.95}, "history": {"auc": 0.95}}, LEARNT),
        ({"metrics": {"auc": float(np.float32(0.95))}, "history": [EPOCH]}, LEARNT),
        ({"metrics": {**EPOCH, **SPEEDS}}, LEARNT),
        ({"metrics": WITH_VALIDATION}, "auc stands beside val_auc .* no history tells .* call .* test_auc"),
    ],
    ids=["last epoch", "an earlier one", "of Keras", "one number", "rounded", "whole epoch", "no history"],
)
def test_what_was_measured_on_the_rows_of_the_training_opens_no_gate(training, why):
    with pytest.raises(QualityGateError, match=why):
        check_gates([Gate.parse("auc>=0.7")], release_metrics(training, None))


@pytest.mark.parametrize("name", ["train_auc", "train_ndcg@10"])
def test_what_is_called_trainings_opens_no_gate(name):
    found = release_metrics({"metrics": {name: 0.9}}, None)
    with pytest.raises(QualityGateError, match=f"{name} was measured on the rows that were trained on"):
        check_gates([Gate.parse(f"{name}>=0.7")], found)


@pytest.mark.parametrize("metrics", [{"auc": 0.8}, {"auc": 0.8, "val_auc": 0.71}, {"test_auc": 0.8, **SPEEDS}])
@pytest.mark.parametrize("history", [[WITH_VALIDATION], {"auc": [0.9, 0.95], "val_auc": [0.6, 0.71]}])
def test_what_was_measured_on_other_rows_after_training_opens_the_gate(metrics, history):
    name = next(iter(metrics))
    check_gates([Gate.parse(f"{name}>=0.8")], release_metrics({"metrics": metrics, "history": history}, None))


@pytest.mark.parametrize("name", ["rows_per_second", "input_wait", "optimum_auc"])
def test_what_says_nothing_of_the_model_cannot_be_required(name):
    found = release_metrics({"metrics": {**WITH_VALIDATION, **SPEEDS, "optimum_auc": 0.8}}, None)
    with pytest.raises(QualityGateError, match=rf"{name} says nothing of how good the model is.*\. .* hand: val_auc$"):
        check_gates([Gate.parse(f"{name}>=0")], found)


def test_only_what_is_at_hand_is_advised():
    def told(**more):
        found = release_metrics({"metrics": {**EPOCH, **more}, "history": [EPOCH]}, None)
        with pytest.raises(QualityGateError) as error:
            check_gates([Gate.parse("auc>=0.7")], found)
        return str(error.value)

    assert "; require val_auc, or give the --evaluation report of friesian evaluate." in told(val_auc=0.71)
    assert "; give the --evaluation report of friesian evaluate." in told()


@pytest.mark.parametrize("metrics", [None, [0.9], 0.9])
def test_metrics_that_are_no_mapping_are_told(metrics):
    with pytest.raises(InvalidInputError, match="'metrics' of the training is .*; it must be a mapping"):
        release_metrics({"metrics": metrics}, None)


@pytest.mark.parametrize("history", [None, 3, "auc", [[0.95]], {"auc": [None, "x", True]}])
def test_a_history_that_says_nothing_is_passed_over(history):
    assert release_metrics({"metrics": {"auc": 0.95}, "history": history}, None) == ReleaseMetrics({"auc": 0.95})


def test_an_evaluation_opens_the_gate_that_the_training_does_not(tmp_path):
    training = {"metrics": EPOCH, "history": [EPOCH]}
    assert release_metrics(training, None).values == {}
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"ranking": {}, "pointwise": {"auc": 0.8}, "lists": {}}))
    found = release_metrics(training, path)
    assert found.values == {"auc": 0.8}
    assert set(found.refused) == {"loss"}


def test_the_help_says_what_is_refused():
    told = re.sub(r"[│\s]+", " ", CliRunner().invoke(app, ["publish", "--help"]).output)
    assert "Metrics of the rows that were trained on are refused." in told


def test_the_command_refuses_a_metric_of_the_rows_of_the_training(outputs, tmp_path):
    write_ranker(outputs / "ranker", metrics={"auc": 0.95, "val_auc": 0.6}, history=[{"auc": 0.95, "val_auc": 0.6}])
    releases = tmp_path / "releases"
    arguments = ["publish", "-c", str(outputs / "publish.yaml"), "--releases", str(releases)]
    result = CliRunner().invoke(app, [*arguments, "--require", "auc>=0.7"])
    assert result.exit_code == 1
    assert "require val_auc" in str(result.exception)
    assert not releases.exists()


def test_the_command_leaves_nothing_behind(outputs, tmp_path):
    releases = tmp_path / "releases"
    arguments = ["publish", "-c", str(outputs / "publish.yaml"), "--releases", str(releases)]
    result = CliRunner().invoke(app, [*arguments, "--require", "ndcg@10>=0.9"])
    assert result.exit_code == 1
    assert isinstance(result.exception, QualityGateError)
    assert "nothing is published: ndcg@10 was not measured" in str(result.exception)
    assert not releases.exists()
