"""Several processes train one model: the same weights on all, those of one process, and a name for who fails."""

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import torch
from tests.train.train_models import FIT, keras_model, rows, torch_model, torch_optimizer

from friesian_fast.errors import FriesianError, InvalidInputError, MissingExtraError, WorkerError, WorkerLostError
from friesian_fast.train import Estimator, events, launch, pulse
from friesian_fast.train.launch import Outcome, raise_first
from friesian_fast.train.worker import Order


def torch_estimator(creator=torch_model, **settings):
    return Estimator.from_torch(creator, torch_optimizer, torch.nn.BCEWithLogitsLoss(), ["auc"], **settings)


def assert_close(left, right):
    for (name, value), other in zip(left.state_dict().items(), right.state_dict().values(), strict=True):
        np.testing.assert_allclose(value.numpy(), other.numpy(), atol=2e-6, err_msg=name)


class Dies(torch.nn.Module):
    """Kills its own process in the middle of the second epoch, once."""

    def __init__(self, marker):
        super().__init__()
        self.net, self.marker, self.calls = torch_model({}), marker, 0

    def forward(self, **columns):
        self.calls += self.training
        if self.calls == 18 and os.environ["FRIESIAN_RANK"] == "1" and not Path(self.marker).exists():
            Path(self.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.net(**columns)


@pytest.fixture
def codes(monkeypatch):
    """Those that the workers of every launch ended with."""
    seen, gathered = [], launch._gathered

    def kept(outcomes, workers):
        seen.append([outcome.code for outcome in outcomes])
        return gathered(outcomes, workers)

    monkeypatch.setattr(launch, "_gathered", kept)
    return seen


def test_three_torch_workers_are_one_even_if_one_is_killed(tmp_path, capsys, codes):
    """`launch` itself compares the weights of the ranks, bit by bit."""
    told = []

    def creator(config):
        return Dies(str(tmp_path / "died"))

    alone, three = torch_estimator(), torch_estimator(creator, workers=3, cores_per_worker=1)
    of_one = alone.fit(rows(), 3, validation_data=rows(301, 1), **FIT)
    of_three = three.fit(
        rows(),
        3,
        validation_data=rows(301, 1),
        callbacks=[lambda epoch, logs: told.append(epoch)],
        checkpoint_dir=tmp_path / "kept",
        checkpoint_steps=5,
        max_restarts=1,
        **FIT | {"verbose": True},
    )
    lines = capsys.readouterr().out
    assert "rank 1 of 3 was killed by SIGKILL; with a checkpoint_dir the same fit goes on" in lines
    assert told == [1, 2, 3]
    assert codes[0][1] == -signal.SIGKILL
    assert codes[1] == [0, 0, 0]
    assert not (tmp_path / "kept" / "checkpoint.safetensors").exists()
    for one, other in zip(of_one, of_three, strict=True):
        for name in ("loss", "auc", "val_loss", "val_auc"):
            assert other[name] == pytest.approx(one[name], rel=1e-5), name
    assert_close(alone.get_model(), three.get_model().net)


class Slow(torch.nn.Module):
    """Rank 0 takes longer than the others are given after a failure."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(1, 1)

    def forward(self, x):
        if os.environ["FRIESIAN_RANK"] == "0":
            time.sleep(1)
        return self.net(x[:, None])[:, 0]


def test_two_workers_predict_each_at_its_own_pace(tmp_path, codes, monkeypatch):
    monkeypatch.setattr(launch, "_GRACE_S", 0.1)
    table = rows(60).select(["x", "user"])
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=20)
    two = torch_estimator(Slow, workers=2, cores_per_worker=1)
    two.predict(tmp_path / "rows.parquet", feature_cols=["x"], path=tmp_path / "out")
    assert codes == [[0, 0]]
    assert pq.read_table(tmp_path / "out").drop_columns(["prediction"]).equals(table)


STAND_IN = """
import json, os, pathlib, sys, time
order = pathlib.Path(sys.argv[1])
rank = json.loads(order.read_text())["rank"]
def tell(**result):
    (order.parent / f"result-{rank}.json").write_text(json.dumps(result))
"""


def wait_for(script, directory, monkeypatch, on_event=print):
    """What `launch` makes of two processes that run a script in place of a worker."""
    start = subprocess.Popen
    monkeypatch.setattr(launch, "_GRACE_S", 0.1)
    monkeypatch.setattr(
        launch.subprocess,
        "Popen",
        lambda command, **settings: start([sys.executable, "-c", STAND_IN + script, command[-1]], **settings),
    )
    orders = [Order(rank=rank, world=2, meet="file:none", cores=1) for rank in range(2)]
    with events.listening("127.0.0.1", on_event) as mailbox:
        return launch._wait(directory, orders, mailbox)


def test_a_worker_that_did_its_work_stops_nobody_however_it_ends(tmp_path, monkeypatch):
    script = "time.sleep(0.5 * (1 - rank)); tell(history=[], weights=None); os.abort() if rank else None"
    outcomes = wait_for(script, tmp_path, monkeypatch)
    assert [(outcome.code, outcome.stopped) for outcome in outcomes] == [(0, False), (-signal.SIGABRT, False)]
    assert launch._gathered(outcomes, 2).history == []


def test_a_worker_that_hangs_is_named_and_may_be_begun_again(tmp_path, monkeypatch):
    script = "rank or time.sleep(60); tell(error='PeerLostError', message='gone', ours=True); sys.exit(1)"
    outcomes = wait_for(script, tmp_path, monkeypatch)
    assert [(outcome.code, outcome.stopped) for outcome in outcomes] == [(-signal.SIGKILL, True), (1, False)]
    with pytest.raises(WorkerLostError, match="rank 0 of 2 no longer answered the others and was stopped; with a"):
        launch._gathered(outcomes, 2)


def test_a_worker_that_shows_no_sign_of_work_is_stopped_and_named(tmp_path, monkeypatch):
    """On a machine of its own, as of a Spark task, where nobody sees that its peers have given up."""
    monkeypatch.setattr(launch, "_SILENCE_S", 4.0)
    beat = "(order.parent / f'pulse-{rank}').touch()"
    script = f"[(time.sleep(0.1), {beat}) for _ in range(3)]; rank or time.sleep(60); tell(history=[])"
    outcomes = wait_for(script, tmp_path, monkeypatch)
    assert [(outcome.code, outcome.stopped) for outcome in outcomes] == [(-signal.SIGKILL, True), (0, False)]


def with_worker_settings(monkeypatch, settings):
    """Run some lines in every worker process before it begins."""
    start = subprocess.Popen
    imports = "import sys; from friesian_fast.train import comm, pulse, worker"
    script = f"{imports}\n{settings}\nsys.exit(worker.main(sys.argv[1]))"
    monkeypatch.setattr(
        launch.subprocess,
        "Popen",
        lambda command, **more: start(
            [sys.executable, "-c", script, command[-1]] if "friesian_fast.train.worker" in command else command, **more
        ),
    )


class Fails:
    """As a Keras callback, which rank 0 runs."""

    def set_model(self, model):
        pass

    def on_train_begin(self):
        pass

    def on_epoch_begin(self, epoch):
        pass

    def on_epoch_end(self, epoch, logs):
        raise ValueError("the disk is full")


class Waits(Fails):
    def on_epoch_end(self, epoch, logs):
        time.sleep(2)

    def on_train_end(self):
        pass


def waits_on_rank_1(config):
    if os.environ["FRIESIAN_RANK"] == "1":
        time.sleep(2)
    return torch_model(config)


def test_whom_the_others_wait_for_is_told(monkeypatch, capsys):
    monkeypatch.setattr(pulse, "LONG_S", 0.5)
    with_worker_settings(monkeypatch, "pulse._BEAT_S = 0.1")
    two = torch_estimator(waits_on_rank_1, workers=2, cores_per_worker=1)
    two.fit(rows(100), callbacks=[Waits()], **FIT | {"verbose": True})
    lines = capsys.readouterr().out.splitlines()
    for line in ("rank 1 of 2 is still making the model", "rank 0 of 2 is still in Waits.on_epoch_end"):
        assert any(re.fullmatch(rf"{line} after \d+ s", told) for told in lines)


def with_slow_files(config):
    """Rank 1 reads slowly, and rank 0 writes so, each for the first time that the others wait for."""
    from friesian_fast.train import input as input_module
    from friesian_fast.train import trainer

    def slowed(function, calls):
        def slow(*given):
            if next(calls):
                time.sleep(3)
            return function(*given)

        return slow

    if os.environ["FRIESIAN_RANK"] == "1":
        input_module.read_stretch = slowed(input_module.read_stretch, itertools.repeat(True))
    else:
        trainer.write_state = slowed(trainer.write_state, itertools.chain([True], itertools.repeat(False)))
    return torch_model(config)


# Once all have met, for which a busy machine may need long.
SHORT_MESSAGES = """
from datetime import timedelta
from torch.distributed.distributed_c10d import _set_pg_timeout

class Impatient(worker.GlooComm):
    def __init__(self, *given):
        super().__init__(*given)
        _set_pg_timeout(timedelta(seconds=2))

worker.GlooComm = Impatient
"""


def test_files_may_take_longer_than_a_message(tmp_path, monkeypatch):
    """The first row, a window of the training, what it is validated on, and a checkpoint within an epoch."""
    with_worker_settings(monkeypatch, SHORT_MESSAGES)
    two = torch_estimator(with_slow_files, workers=2, cores_per_worker=1)
    checkpoints = {"checkpoint_dir": tmp_path, "checkpoint_steps": 2}
    (epoch,) = two.fit(rows(300), validation_data=rows(100, 1), **checkpoints, **FIT)
    assert epoch["val_auc"] > 0


def test_three_keras_workers_are_one():
    """Here the model itself is given, and reaches the workers as an archive."""
    import keras

    alone = Estimator.from_keras(keras_model, metrics=["auc"])
    keras.utils.set_random_seed(0)
    three = Estimator.from_keras(keras_model({}), metrics=["auc"], workers=3)
    settings = {**FIT, "feature_cols": None}
    (one,) = alone.fit(rows(), 1, **settings)
    (other,) = three.fit(rows(), 1, **settings)
    for name in ("loss", "auc", "binary_accuracy"):
        assert other[name] == pytest.approx(one[name], rel=1e-4), name
    for left, right in zip(alone.get_model().get_weights(), three.get_model().get_weights(), strict=True):
        np.testing.assert_allclose(left, right, atol=2e-5)


def test_unequal_shards_and_steps_of_fewer_rows_than_workers_are_those_of_one_process(tmp_path):
    table, start = rows(44), 0
    for shard, count in enumerate((1, 40, 3)):
        pq.write_table(table.slice(start, count), tmp_path / f"{shard}.parquet")
        start += count
    alone, three = torch_estimator(), torch_estimator(workers=3, cores_per_worker=1)
    settings = {**FIT, "batch_size": 3}
    (one,), (other,) = (fitted.fit(tmp_path, **settings) for fitted in (alone, three))
    assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
    assert other["auc"] == pytest.approx(one["auc"], rel=1e-5)
    assert_close(alone.get_model(), three.get_model())


def fails_on_rank_1(config):
    if os.environ["FRIESIAN_RANK"] == "1":
        raise ValueError("no such table")
    return torch_model(config)


def with_a_hole():
    table = rows(300)
    x = table["x"].to_numpy().copy()
    x[299] = np.nan
    return table.set_column(table.column_names.index("x"), "x", [x])


@pytest.mark.parametrize(
    ("creator", "data", "callbacks", "kind", "message"),
    [
        (fails_on_rank_1, rows(300), [], WorkerError, "rank 1 of 2 failed with ValueError: no such table\n"),
        (torch_model, rows(300), [Fails()], WorkerError, "rank 0 of 2 failed with ValueError: the disk is full\n"),
        (torch_model, with_a_hole(), [], InvalidInputError, "rank 1 of 2: .*column 'x' holds nan in row 299 of its"),
    ],
)
def test_what_fails_on_one_worker_stops_all_and_is_told_with_its_rank(creator, data, callbacks, kind, message):
    two = torch_estimator(creator, workers=2, cores_per_worker=1)
    with pytest.raises(kind, match=message):
        two.fit(data, 1000, callbacks=callbacks, **FIT)


def test_a_function_of_the_caller_that_fails_stops_all():
    def fail(epoch, logs):
        told.append(epoch)
        raise ZeroDivisionError("at the caller's")

    told = []
    with pytest.raises(ZeroDivisionError, match="at the caller's"):
        torch_estimator(workers=2, cores_per_worker=1).fit(rows(300), 100_000, callbacks=[fail], **FIT)
    assert told == [1]


KILLED = """
import os, signal, sys
from tests.train.test_estimator_workers import FIT, rows, torch_estimator

def told(epoch, logs):
    if epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)

fitted = torch_estimator(config={"dropout": 0.3}, cores_per_worker=1)
fitted.fit(rows(), 3, callbacks=[told], checkpoint_dir=sys.argv[1], checkpoint_steps=5, **FIT)
"""


def test_a_run_that_is_killed_goes_on_when_it_is_called_again(tmp_path):
    """The whole of it, here one process: the same call ends with the weights of an unbroken one."""
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    killed = subprocess.run(command, cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "checkpoint.safetensors").exists()
    again, whole = (torch_estimator(config={"dropout": 0.3}, cores_per_worker=1) for _ in range(2))
    history = again.fit(rows(), 3, checkpoint_dir=tmp_path, checkpoint_steps=5, **FIT)
    whole.fit(rows(), 3, checkpoint_dir=tmp_path / "other", checkpoint_steps=5, **FIT)
    assert len(history) == 3
    for (name, value), other in zip(
        again.get_model().state_dict().items(), whole.get_model().state_dict().values(), strict=True
    ):
        np.testing.assert_array_equal(value.numpy(), other.numpy(), err_msg=name)


ENDED = """
import os, signal, sys
from friesian_fast.train import launch

with launch._working_directory() as directory:
    (directory / "work").touch()
    print(directory, flush=True)
    os.killpg(0, getattr(signal, sys.argv[1]))
    signal.pause()
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_who_ends_with_all_its_processes_leaves_no_directory(tmp_path, name):
    """As a Spark task, or a run that a scheduler stops."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", ENDED, name]
    ended = subprocess.run(command, env=environment, start_new_session=True, check=False, stdout=subprocess.PIPE)
    assert ended.returncode == -getattr(signal, name)
    directory = Path(ended.stdout.decode().strip())
    assert directory.parent == tmp_path
    until = time.monotonic() + 20
    while directory.exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not directory.exists()


def ended(rank, code=0, **result):
    return Outcome(rank, result or None, code, "its last words", None)


@pytest.mark.parametrize(
    ("outcomes", "kind", "message"),
    [
        (
            [
                ended(0, 1, error="PeerLostError", message="gone", ours=True),
                ended(1, 1, error="InvalidInputError", message="column 'x' holds nan", ours=True),
            ],
            InvalidInputError,
            "rank 1 of 2: column 'x' holds nan",
        ),
        (
            [ended(0, -signal.SIGABRT), ended(1, -signal.SIGKILL)],
            WorkerLostError,
            "rank 1 of 2 was killed by SIGKILL; .*\n.*its last words",
        ),
        ([ended(0, history=[]), ended(1, 3)], WorkerLostError, "rank 1 of 2 ended without a word"),
        (
            [ended(0, 1, error="TypeError", message="no", ours=False, trace="Traceback"), ended(1, -9)],
            WorkerError,
            "rank 0 of 2 failed with TypeError: no\nTraceback",
        ),
        ([ended(0, 1, error="PeerLostError", message="gone", ours=True)] * 2, WorkerLostError, "rank 0 of 2: gone"),
        ([ended(0, 1, error="MissingExtraError", message="needs x", ours=True)], FriesianError, "rank 0 of 2: needs x"),
    ],
)
def test_the_worker_that_failed_first_is_named(outcomes, kind, message):
    with pytest.raises(kind, match=message) as raised:
        raise_first(outcomes, 2)
    assert type(raised.value) is kind


def test_without_torch_there_is_one_worker(monkeypatch):
    monkeypatch.setattr(launch, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="several workers needs the 'torch' extra"):
        torch_estimator(workers=2).fit(rows(50), **FIT)


def test_no_process_is_left():
    assert not [child for child in psutil.Process().children(recursive=True) if "train.worker" in command(child)]


def command(process):
    """What it runs; nothing of one that has ended, as another test's may just now."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
