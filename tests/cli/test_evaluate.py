"""`friesian evaluate` from Parquet to the report, and what it refuses."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from friesian_fast.cli.main import app
from friesian_fast.errors import InvalidInputError, NotFoundError

PREDICTIONS = {
    "user": ["a", "a", "a", "b", "b"],
    "item": ["y", "x", "z", "x", "y"],
    "score": [0.5, 0.5, 0.1, 0.9, 0.3],
    "label": [0, 1, 0, 0, 1],
}
RELEVANT = {"user": ["a", "b", "c"], "item": ["x", "y", "never seen"]}
HISTORY = {"user": ["a", "a", "other"], "item": ["x", "z", "x"]}


def write(path, columns):
    pq.write_table(pa.table(columns), path)
    return str(path)


def run(tmp_path, predictions=PREDICTIONS, relevant=RELEVANT, *more):
    arguments = [
        "evaluate",
        *("--predictions", write(tmp_path / "predictions.parquet", predictions)),
        *("--relevant", write(tmp_path / "relevant.parquet", relevant)),
        *("--out", str(tmp_path / "out"), "--samples", "20", *more),
    ]
    done = CliRunner().invoke(app, arguments)
    if done.exception:
        raise done.exception
    return done.stdout, json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))


def test_known_answers_from_files(tmp_path):
    history = write(tmp_path / "history.parquet", HISTORY)
    vectors = write(
        tmp_path / "vectors.parquet", {"item": ["z", "x", "y"], "prediction": [[1.0, 0], [0, 1.0], [1.0, 0]]}
    )
    told, report = run(
        tmp_path, PREDICTIONS, RELEVANT, "--history", history, "--item-vectors", vectors, "-k", "1", "-k", "2"
    )
    # Of a's equal scores x comes first, being the smaller id; c has no predictions and counts as a miss.
    assert report["ranking"]["recall@1"]["value"] == pytest.approx(1 / 3)
    assert report["ranking"]["recall@2"]["value"] == pytest.approx(2 / 3)
    assert report["ranking"]["mrr@2"]["value"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert report["pointwise"]["auc"]["value"] == pytest.approx(2.5 / 6)
    assert report["lists"]["coverage"] == 2 / 4
    assert report["lists"]["diversity"] == 1
    assert report["lists"]["average popularity of listed items"] == 1.0
    assert list(report["slices"]["users by past interactions"]) == ["0 (2 users)", "1-4 (1 users)"]
    assert "recall@2" in told
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.count("<svg") == 4


def test_integer_ids_and_other_column_names(tmp_path):
    def integers(table, **types):
        named = {"user": "user_id", "item": "item_id"}
        return {
            named.get(name, name): pa.array([hash_of(v) for v in values], types[name]) if name in types else values
            for name, values in table.items()
        }

    def hash_of(text):
        return int.from_bytes(text.encode()[:7], "big")

    relevant = integers(RELEVANT, user=pa.int64(), item=pa.int64())
    predictions = integers(PREDICTIONS, user=pa.int32(), item=pa.uint64())
    del predictions["label"]
    told, report = run(tmp_path, predictions, relevant, "--user-column", "user_id", "--item-column", "item_id")
    assert report["ranking"]["recall@10"]["value"] == pytest.approx(2 / 3)
    assert report["pointwise"] == {}
    assert "Without a label column" in told


def changed(table, **columns):
    return {**table, **columns}


@pytest.mark.parametrize(
    ("predictions", "relevant", "message"),
    [
        (changed(PREDICTIONS, item=["y", "y", "z", "x", "y"]), RELEVANT, "user 'a' has item 'y' twice"),
        (PREDICTIONS, changed(RELEVANT, user=["a"] * 3, item=["x"] * 3), "the relevant items: user 'a' has item 'x'"),
        (changed(PREDICTIONS, score=[1, 2, 3, 4, None]), RELEVANT, "column 'score' holds 1 nulls"),
        (changed(PREDICTIONS, score=list("abcde")), RELEVANT, "column 'score' of the predictions is not of numbers"),
        (changed(PREDICTIONS, score=[0.1, float("nan"), 1, 1, 1]), RELEVANT, "score nan in row 1"),
        (changed(PREDICTIONS, label=[1] * 5), RELEVANT, "all 5 labels are 1"),
        (PREDICTIONS, changed(RELEVANT, user=[1, 2, 3]), "column 'user' has the types int64, string"),
        (PREDICTIONS, changed(RELEVANT, item=pa.array([1, 2, 2**63], pa.uint64())), "an id does not fit int64"),
        (PREDICTIONS, {"user": ["a"]}, "has no column 'item'"),
        (PREDICTIONS, {"user": pa.array([], pa.string()), "item": pa.array([], pa.string())}, "has no rows"),
    ],
)
def test_what_cannot_be_measured_is_named_and_writes_nothing(tmp_path, predictions, relevant, message):
    with pytest.raises(InvalidInputError, match=message):
        run(tmp_path, predictions, relevant)
    assert not (tmp_path / "out").exists()


def test_a_predicted_item_needs_its_vector(tmp_path):
    vectors = write(tmp_path / "vectors.parquet", {"item": ["x", "y"], "prediction": [[1.0], [2.0]]})
    with pytest.raises(InvalidInputError, match="1 predicted items have no vector, such as 'z'"):
        run(tmp_path, PREDICTIONS, RELEVANT, "--item-vectors", vectors)


def test_learning_curves_are_drawn(tmp_path):
    path = tmp_path / "history.json"
    path.write_text(json.dumps({"loss": [0.7, 0.5], "val_loss": [0.8, 0.6], "auc": [0.5, 0.75]}), encoding="utf-8")
    run(tmp_path, PREDICTIONS, RELEVANT, "--learning-curves", str(path))
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert "val_loss: 2, 0.6000" in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[1, 2]", "does not map each metric"),
        ('{"loss": []}', "does not map each metric"),
        ('{"loss": [0.5, NaN]}', "a value of 'loss' is not a finite number"),
        ('{"loss": ["low"]}', "a value of 'loss' is not a finite number"),
    ],
)
def test_broken_learning_curves_are_refused(tmp_path, text, message):
    path = tmp_path / "history.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=message):
        run(tmp_path, PREDICTIONS, RELEVANT, "--learning-curves", str(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NotFoundError, match="gone"):
        run(tmp_path, PREDICTIONS, RELEVANT, "--history", str(tmp_path / "gone"))
    with pytest.raises(NotFoundError, match="gone"):
        run(tmp_path, PREDICTIONS, RELEVANT, "--learning-curves", str(tmp_path / "gone"))
