"""What falls short of a requirement is not published, and the message has every number."""

import json

import pytest
from tests.release.conftest import write_ranker
from typer.testing import CliRunner

from friesian_fast.cli.main import app
from friesian_fast.errors import InvalidInputError, NotFoundError, QualityGateError
from friesian_fast.release.gates import Gate, Measured, check_gates, measured


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
        check_gates([Gate.parse(text)], Measured({"a": 0.5}))
    for text in ("a>0.5", "a<0.5", "a>=0.6", "a<=0.4"):
        with pytest.raises(QualityGateError, match=r"a is 0\.5, "):
            check_gates([Gate.parse(text)], Measured({"a": 0.5}))
    with pytest.raises(QualityGateError, match="a is nan"):
        check_gates([Gate.parse("a<1")], Measured({"a": float("nan")}))


def test_all_that_falls_short_is_named():
    gates = [Gate.parse(text) for text in ("auc>=0.7", "ndcg@10>=0.05", "loss<1")]
    message = r"nothing is published: auc is 0\.6, >= 0\.7 is required; ndcg@10 was not measured, .* at hand: auc, loss"
    with pytest.raises(QualityGateError, match=message):
        check_gates(gates, Measured({"auc": 0.6, "loss": 0.5}))


def test_metrics_of_training_and_of_an_evaluation(tmp_path):
    report = {
        "ranking": {"ndcg@10": {"value": 0.06, "low": 0.05, "high": 0.07}},
        "pointwise": {"auc": 0.8},
        "lists": {},
    }
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    assert measured({"metrics": {"auc": 0.7, "name": "x", "good": True}}, None) == Measured({"auc": 0.7})
    assert measured({"metrics": {"auc": 0.7}}, path) == Measured({"auc": 0.8, "ndcg@10": 0.06})
    path.write_text("[]")
    with pytest.raises(InvalidInputError, match="is no report of friesian evaluate"):
        measured({}, path)
    with pytest.raises(NotFoundError, match=r"friesian evaluate writes a report\.json"):
        measured({}, tmp_path / "nowhere.json")


EPOCH = {"loss": 0.3, "auc": 0.95}


@pytest.mark.parametrize(
    "training",
    [
        {"metrics": {**EPOCH, "val_loss": 0.6, "val_auc": 0.71, "optimum_auc": 0.8}},
        {"metrics": {**EPOCH, "val_auc": 0.71, "optimum_auc": 0.8}, "history": [EPOCH, {**EPOCH, "val_auc": 0.71}]},
    ],
    ids=["by its twin", "by the history"],
)
def test_what_was_measured_on_the_rows_of_the_training_opens_no_gate(training):
    found = measured(training, None)
    assert found.trained_on == {"auc", "loss"}
    check_gates([Gate.parse("val_auc>=0.7"), Gate.parse("optimum_auc>=0.8")], found)
    message = "auc was measured on the rows that were trained on.*require val_auc, or give the --evaluation report"
    with pytest.raises(QualityGateError, match=message):
        check_gates([Gate.parse("auc>=0.7")], found)


def test_without_a_validation_only_an_evaluation_opens_the_gate(tmp_path):
    training = {"metrics": EPOCH, "history": [EPOCH]}
    assert measured(training, None) == Measured({}, frozenset(EPOCH))
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"ranking": {}, "pointwise": {"auc": 0.8}, "lists": {}}))
    assert measured(training, path) == Measured({"auc": 0.8}, frozenset({"loss"}))


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
