"""A run goes on from its checkpoint as if unbroken, and only the run that wrote it."""

import copy
import time
from datetime import date
from enum import StrEnum
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.train.torch_estimators import LOSS, StopError, assert_equal_weights, estimator
from tests.train.train_models import FEATURES, FIT, Net, rows, torch_model

from friesian_fast.errors import InvalidInputError
from friesian_fast.train import EarlyStopping, Negatives
from friesian_fast.train.checkpoint import write_state
from friesian_fast.train.comm import Comm
from friesian_fast.train.fields import wanted
from friesian_fast.train.fingerprint import differing_parts, fingerprints
from friesian_fast.train.job import Work
from friesian_fast.train.makers import TorchMaker
from friesian_fast.train.source import open_source, source_of
from friesian_fast.train.torch_task import TorchTask
from friesian_fast.train.trainer import Trainer


def test_a_run_goes_on_from_its_checkpoint_and_ends_as_if_unbroken(tmp_path):
    def stop_after_two(epoch, logs):
        if epoch == 2:
            raise StopError

    settings = {**FIT, "checkpoint_dir": tmp_path / "kept", "checkpoint_steps": 5}
    whole, broken = (estimator(config={"dropout": 0.3}) for _ in range(2))
    history = whole.fit(rows(), 4, **settings)
    with pytest.raises(StopError):
        broken.fit(rows(), 4, callbacks=[stop_after_two], **settings)
    assert (tmp_path / "kept" / "checkpoint.safetensors").exists()
    with pytest.raises(
        InvalidInputError, match="is of another run, with other batch_size; make the same call again, remove the c"
    ):
        estimator(config={"dropout": 0.3}).fit(rows(), 4, **settings | {"batch_size": 50})
    again = estimator(config={"dropout": 0.3})
    resumed = again.fit(rows(), 4, **settings)
    assert_equal_weights(whole, again)
    assert [epoch["loss"] for epoch in resumed] == [epoch["loss"] for epoch in history]
    assert not (tmp_path / "kept" / "checkpoint.safetensors").exists()


def test_rank_0_says_whether_there_is_a_checkpoint(tmp_path):
    """Also to a worker that sees none, such as one whose file system is late."""
    sent = []

    class First(Comm):
        def same(self, values):
            sent.append(np.array(values))
            return values

    class Second(Comm):
        rank = 1

        def same(self, values):
            return sent.pop(0)

    def stop(event):
        if event.get("epoch") == 2 and "logs" in event:
            raise StopError

    def trainer(directory, comm, report=lambda event: None):
        model = torch_model({})
        task = TorchTask(model, torch.optim.Adagrad(model.parameters(), lr=0.1), LOSS, comm)
        settings = {"batch_size": 100, "buffer_rows": 2000, "seed": 0, "metrics": ("auc",), "epochs": 3}
        work = Work(
            kind="fit",
            maker=lambda comm: task,
            source=source_of(rows(), "rows"),
            features=wanted(FEATURES),
            labels=["label"],
            checkpoint_dir=directory,
            **settings,
        )
        return Trainer(work, comm, task, report), task

    with pytest.raises(StopError):
        trainer(tmp_path, Comm(), stop)[0].fit()
    (first, one), (second, other) = trainer(tmp_path, First()), trainer(tmp_path / "elsewhere", Second())
    sent.clear()
    assert first._resume() == second._resume() == (1, 0)
    assert first._history == second._history
    for name, value in one.state().items():
        np.testing.assert_array_equal(value, other.state()[name], err_msg=name)


def test_speed_after_a_resume_is_that_of_what_was_done(tmp_path):
    def slow_or_broken(config):
        class Slow(Net):
            def forward(self, **columns):
                calls.append(1)
                if len(calls) == limit:
                    raise StopError
                time.sleep(0.01)
                return super().forward(**columns)

        return Slow()

    settings = {**FIT, "batch_size": 50, "checkpoint_dir": tmp_path, "checkpoint_steps": 20}
    calls, limit = [], 23  # of 24 steps
    with pytest.raises(StopError):
        estimator(slow_or_broken).fit(rows(), **settings)
    calls, limit = [], None
    (epoch,) = estimator(slow_or_broken).fit(rows(), **settings)
    assert len(calls) == 4
    assert epoch["rows_per_second"] < 50 / 0.01


def test_a_checkpoint_is_of_the_settings_that_the_course_depends_on():
    items = pa.table({"item": [1, 2, 3]})
    source, other = (
        source_of(pa.table({"user": [1, 2], "item": [1, 3], "label": kept}), "rows") for kept in ([0, 1], [1, 0])
    )

    def found(metrics=("auc",), per_positive=1, kept=items, validation=None, stopping=(), **settings):
        maker = TorchMaker(creator=lambda: None, optimizer=lambda: None, loss=LOSS, **settings)
        drawn = Negatives(items=kept, per_positive=per_positive).prepared(source)
        settings = {"batch_size": 2, "buffer_rows": 2, "seed": 0, "metrics": metrics, "extend": drawn}
        settings |= {"validation": validation, "early_stopping": stopping, "features": None, "labels": ["label"]}
        return fingerprints(Work(kind="fit", maker=maker, source=source, **settings))

    config = {"rate": 0.1, "sizes": (3, 2), "table": np.eye(2), "on": None}
    same = found(config=config)
    assert found(config=dict(reversed(config.items()))) == same
    for part, settings in (
        ("config", {"config": {**config, "rate": 0.2}}),
        ("config", {"config": {**config, "table": np.zeros((2, 2))}}),
        ("precision", {"precision": "bf16"}),
        ("scheduler", {"scheduler": lambda optimizer: None}),
        ("metrics", {"metrics": ()}),
        ("negatives", {"per_positive": 2}),
        ("negatives", {"kept": pa.table({"item": [1, 3, 4]})}),
        ("validation_data", {"validation": source}),
        ("callbacks", {"stopping": (EarlyStopping(),)}),
    ):
        assert differing_parts(same, found(**{"config": config, **settings})) == [part]
    one, another = (found(validation=of, stopping=(EarlyStopping(patience=2),)) for of in (source, other))
    assert differing_parts(one, another) == ["validation_data"]
    assert differing_parts(one, found(validation=source, stopping=(EarlyStopping(),))) == ["callbacks"]


class Kind(StrEnum):
    ONE = "one"
    TWO = "two"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"1", b"2"),
        (Path("a"), Path("b")),
        (Path("a"), "a"),
        (Kind.ONE, Kind.TWO),
        ({"a", "b"}, frozenset(["a", "c"])),
        (date(2021, 2, 3), date(2021, 2, 4)),
        (range(3), range(4)),
    ],
)
def test_values_of_any_kind_tell_a_config_from_another(one, other):
    def found(value):
        maker = TorchMaker(creator=lambda: None, optimizer=lambda: None, loss=LOSS, config={"of": value})
        source = source_of(pa.table({"x": [1]}), "rows")
        settings = {"features": None, "labels": [], "batch_size": 1, "buffer_rows": 1, "seed": 0}
        return fingerprints(Work(kind="fit", maker=maker, source=source, **settings))

    assert differing_parts(found(one), found(other)) == ["config"]
    assert differing_parts(found(one), found(copy.deepcopy(one))) == []


def test_a_config_that_holds_itself_is_named(tmp_path):
    config = {"rate": 0.1}
    config["all"] = config
    with pytest.raises(InvalidInputError, match="config holds something that holds itself, so a checkpoint cannot be"):
        estimator(config=config).fit(rows(50), checkpoint_dir=tmp_path, **FIT)


def test_a_run_goes_on_with_its_own_validation_and_early_stopping_only(tmp_path):
    def stop(epoch, logs):
        raise StopError

    def fit(validation, patience, *functions, epochs=3):
        callbacks = [EarlyStopping(monitor="val_loss", patience=patience), *functions]
        return estimator().fit(rows(300), epochs, validation_data=validation, callbacks=callbacks, **settings)

    settings = {**FIT, "checkpoint_dir": tmp_path, "checkpoint_steps": 2}
    with pytest.raises(StopError):
        fit(rows(100, 1), 5, stop)
    with pytest.raises(InvalidInputError, match="of another run, with other validation_data; make the same call"):
        fit(rows(100, 2), 5)
    with pytest.raises(InvalidInputError, match="of another run, with other validation_data, callbacks; make"):
        fit(rows(100, 2), 4)
    assert len(fit(rows(100, 1), 5, epochs=4)) == 4  # it may be longer; functions only listen, there may be others


def test_a_checkpoint_of_before_its_parts_were_named_is_refused(tmp_path):
    write_state(tmp_path / "checkpoint.safetensors", {}, {"work": "0" * 64, "epoch": 0, "step": 1})
    with pytest.raises(InvalidInputError, match="was written by an earlier version; remove it or name another check"):
        estimator(seed=np.int64(3)).fit(rows(100), checkpoint_dir=tmp_path, **FIT)


def test_a_checkpoint_is_of_its_data(tmp_path):
    """Of the same shape and ranges, but in another order."""
    table = pa.table({"user": [1, 2, 3, 4], "label": [0, 1, 0, 1]})
    other = table.take([0, 3, 2, 1])
    for number, rows_ in enumerate((table, other, table)):
        pq.write_table(rows_, tmp_path / f"{number}.parquet")
    files = [open_source(tmp_path / f"{number}.parquet", None, name="rows").digest() for number in range(3)]
    frames = [source_of(rows_, "rows").digest() for rows_ in (table, other, table)]
    for first, second, third in (files, frames):
        assert first == third
        assert first != second
