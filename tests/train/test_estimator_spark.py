"""Training and prediction as tasks of a Spark barrier stage, from Spark's own tables."""

import os
import re
import signal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tests.train.train_models import FIT, rows, torch_model, torch_optimizer

from friesian_fast.errors import InvalidInputError, WorkerError, WorkerLostError
from friesian_fast.train import Estimator, launch


@pytest.fixture(scope="module")
def spark():
    from friesian_fast.feature.session import get_session

    return get_session("local[2]")


def estimator(**settings):
    return Estimator.from_torch(torch_model, torch_optimizer, torch.nn.BCEWithLogitsLoss(), ["auc"], **settings)


def test_two_tasks_are_one_process_and_read_spark_tables(spark, tmp_path):
    from friesian_fast.feature import FeatureTable

    rows_file = tmp_path / "rows.parquet"
    table = FeatureTable(spark.createDataFrame(rows().to_pandas()).coalesce(1))
    table.write_parquet(str(rows_file))
    told = []
    alone, tasks = estimator(), estimator(backend="spark", workers=2)
    (one,) = alone.fit(FeatureTable.read_parquet(str(rows_file)), **FIT)
    (other,) = tasks.fit(table, callbacks=[lambda epoch, logs: told.append(epoch)], **FIT)
    assert told == [1]
    assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
    assert other["auc"] == pytest.approx(one["auc"], rel=1e-5)
    for left, right in zip(alone.get_model().parameters(), tasks.get_model().parameters(), strict=True):
        np.testing.assert_allclose(left.detach(), right.detach(), atol=2e-6)
    predicted = alone.predict(spark.createDataFrame(rows(50, 3).to_pandas()))
    assert predicted.columns == ["user", "x", "history", "label", "prediction"]
    assert predicted.size() == 50


class LosesItsTask(torch.nn.Module):
    """Kills the Spark task above it in the middle of the second epoch, once."""

    def __init__(self, marker):
        super().__init__()
        self.net, self.marker, self.calls = torch_model({}), Path(marker), 0

    def forward(self, user, x, history, history_mask):
        self.calls += self.training
        if self.calls == 18 and os.environ["FRIESIAN_RANK"] == "1" and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getppid(), signal.SIGKILL)
        return self.net(user, x, history, history_mask)


def test_a_lost_task_is_named_and_begun_again_from_the_checkpoint(spark, tmp_path, capsys):
    """Spark does not begin a barrier stage with a result again by itself: `fit` does."""
    pq.write_table(rows(), tmp_path / "rows.parquet")
    settings = {**FIT, "data": str(tmp_path / "rows.parquet"), "epochs": 3}
    marker, told = str(tmp_path / "died"), []
    lost = Estimator.from_torch(
        lambda config: LosesItsTask(marker),
        torch_optimizer,
        torch.nn.BCEWithLogitsLoss(),
        ["auc"],
        backend="spark",
        workers=2,
    )
    alone = estimator()
    again = {"checkpoint_dir": tmp_path / "kept", "max_restarts": 1, "verbose": True}
    history = lost.fit(**settings | again, callbacks=[lambda epoch, logs: told.append(epoch)])
    assert "Spark lost the training's tasks: rank 1 of 2 failed: org.apache.spark" in capsys.readouterr().out
    for one, other in zip(alone.fit(**settings), history, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
    assert Path(marker).exists()
    assert told == [1, 2, 3]


def test_a_function_of_the_caller_that_fails_ends_the_job(spark):
    def fail(epoch, logs):
        raise ZeroDivisionError("at the caller's")

    with pytest.raises(ZeroDivisionError, match="at the caller's"):
        estimator(backend="spark", workers=2).fit(rows(), 100_000, callbacks=[fail], **FIT)
    assert spark.sparkContext.parallelize(range(2), 2).count() == 2  # the session goes on


def test_weights_that_come_in_spark_s_rows_are_put_together(tmp_path):
    """As they do if the caller's socket is out of reach."""
    rows = [(1, '[null, -9, "", true]'), (0, '[{"weights": "x"}, 0, "log", false]'), (0, b"one "), (0, b"two")]
    second, first = launch._from_rows(rows, tmp_path / "state")
    assert (first.rank, first.state.read_bytes(), first.log) == (0, b"one two", "log")
    assert (second.rank, second.state, second.stopped) == (1, None, True)


def test_spark_s_own_words_get_the_rank():
    text = "failed barrier ResultStage. Stage failed because barrier task ResultTask(3, 1) finished unsuccessfully."
    assert launch._of_rank(text, 2) == f"rank 1 of 2 failed: {text}"
    assert launch._of_rank("gone", 2) == "gone"


@pytest.mark.parametrize(
    ("reason", "kind", "message"),
    [
        ("ExecutorLostFailure (executor 1 exited unrelated to the running tasks)", WorkerLostError, "Spark lost the"),
        ("org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)", WorkerLostError, "Spark lost"),
        ("ModuleNotFoundError: No module named 'x'", WorkerError, "Spark could not run the .*: rank 1 of 2"),
        ("[SPARK-24819]: Barrier execution mode does not allow more slots", WorkerError, "Spark could not run"),
    ],
)
def test_only_what_was_lost_is_begun_again(reason, kind, message):
    error = launch._of_spark(f"barrier task ResultTask(3, 1) finished unsuccessfully.\n{reason}", 2)
    assert type(error) is kind
    assert re.match(message, str(error))


def test_more_workers_than_slots_are_refused(spark):
    with pytest.raises(InvalidInputError, match=r"3 workers need 3 task slots at a time and Spark's master local\[2\]"):
        estimator(backend="spark", workers=3).fit(rows(60), **FIT)
