"""The estimator on PyTorch models, in one process: what it learns, keeps, gives back and refuses."""

import copy
import math
import time
from datetime import date
from enum import StrEnum
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from tests.train.train_models import FEATURES, Net, Norm, rows, torch_model, torch_optimizer

from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.models.inputs import Categorical
from friesian_fast.train import EarlyStopping, Estimator, Negatives
from friesian_fast.train.checkpoint import write_state
from friesian_fast.train.comm import Comm
from friesian_fast.train.fields import Field, wanted
from friesian_fast.train.fingerprint import differing_parts, fingerprints
from friesian_fast.train.input import Batch
from friesian_fast.train.job import Work
from friesian_fast.train.makers import TorchMaker, called
from friesian_fast.train.source import open_source, source_of
from friesian_fast.train.torch_task import TorchTask
from friesian_fast.train.trainer import Trainer

LOSS = torch.nn.BCEWithLogitsLoss()
FIT = {"feature_cols": FEATURES, "label_cols": "label", "batch_size": 100, "verbose": False}


def estimator(creator=torch_model, optimizer=torch_optimizer, loss=LOSS, metrics=("auc",), **settings):
    return Estimator.from_torch(creator, optimizer, loss, metrics, **settings)


def weights(estimator):
    return {name: value.numpy().copy() for name, value in estimator.get_model().state_dict().items()}


def assert_equal_weights(left, right):
    for name, value in weights(left).items():
        np.testing.assert_array_equal(value, weights(right)[name], err_msg=name)


@pytest.fixture(scope="module")
def trained():
    fitted = estimator()
    history = fitted.fit(rows(), 6, validation_data=rows(400, 1), **FIT)
    return fitted, history


def test_learns_and_measures(trained):
    fitted, history = trained
    assert len(history) == 6
    assert history[-1]["val_auc"] > 0.9
    assert history[-1]["loss"] < history[0]["loss"]
    assert set(history[0]) == {"loss", "auc", "rows_per_second", "input_wait", "val_loss", "val_auc"}
    measured = fitted.evaluate(rows(400, 1), label_cols="label")
    assert measured["auc"] == pytest.approx(history[-1]["val_auc"], abs=1e-9)
    assert measured["loss"] == pytest.approx(history[-1]["val_loss"], rel=1e-6)


def test_the_first_steps_are_those_of_a_plain_loop():
    """One epoch of one batch, against PyTorch's own step on all rows."""
    fitted = estimator()
    history = fitted.fit(rows(300), **FIT | {"batch_size": 300})
    torch.manual_seed(0)
    model = torch_model({})
    optimizer = torch_optimizer(model, {})
    table = rows(300)
    longest = max(map(len, table["history"].to_pylist()))
    lists = [given + [0] * (longest - len(given)) for given in table["history"].to_pylist()]
    history_mask = torch.tensor([[float(item > 0) for item in given] for given in lists])
    predictions = model(
        torch.tensor(table["user"].to_pylist()), torch.tensor(table["x"].to_pylist()), torch.tensor(lists), history_mask
    )
    loss = LOSS(predictions, torch.tensor(table["label"].to_pylist(), dtype=torch.float32))
    loss.backward()
    optimizer.step()
    assert history[0]["loss"] == pytest.approx(loss.item(), rel=1e-5)
    for name, value in weights(fitted).items():
        np.testing.assert_allclose(value, model.state_dict()[name].numpy(), atol=1e-5, err_msg=name)


def test_the_seed_decides_and_a_second_fit_goes_on():
    dropout = {"dropout": 0.3}
    once, again, other = (estimator(seed=seed, config=dropout) for seed in (1, 1, 2))
    once.fit(rows(), 2, **FIT)
    again.fit(rows(), 1, **FIT)
    again.fit(rows(), 1, **FIT)
    other.fit(rows(), 2, **FIT)
    assert_equal_weights(once, again)
    assert (weights(once)["out.weight"] != weights(other)["out.weight"]).any()


def test_predictions_are_added_to_the_rows_in_their_order(trained, tmp_path, spark_free):
    fitted, _ = trained
    table = rows(500, 2).drop_columns(["label"]).append_column("name", pa.array([f"n{i}" for i in range(500)]))
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=90)
    predicted = fitted.predict(tmp_path / "rows.parquet", path=tmp_path / "out")
    assert predicted.columns == [*table.column_names, "prediction"]
    written = pq.read_table(tmp_path / "out")
    assert written.drop_columns(["prediction"]).equals(table)
    model = fitted.get_model().eval()
    first = model(
        *(torch.tensor([value]) for value in (table["user"][0].as_py(), table["x"][0].as_py())),
        torch.tensor([table["history"][0].as_py()]),
        torch.ones(1, len(table["history"][0])),
    )
    assert written["prediction"][0].as_py() == pytest.approx(first.item(), abs=1e-6)


@pytest.fixture
def spark_free():
    """Reading files back as a FeatureTable starts no Spark."""
    from pyspark.sql import SparkSession

    before = SparkSession.getActiveSession()
    yield
    assert SparkSession.getActiveSession() is before


def test_what_is_saved_goes_on_as_if_it_had_not_stopped(tmp_path):
    whole, half, rest = estimator(), estimator(), estimator()
    whole.fit(rows(), 2, **FIT)
    half.fit(rows(), 1, **FIT)
    half.save(tmp_path / "kept")
    rest.load(tmp_path / "kept")
    rest.evaluate(rows(50), feature_cols=FEATURES, label_cols="label")
    rest.save(tmp_path / "again")
    rest.fit(rows(), 1, **FIT)
    assert_equal_weights(whole, rest)
    other = estimator(lambda: torch.nn.Linear(1, 1))
    other.load(tmp_path / "kept")
    with pytest.raises(InvalidInputError, match="the weights lack 'weight'; they are of another model"):
        other.get_model()


def test_a_run_goes_on_from_its_checkpoint_and_ends_as_if_unbroken(tmp_path):
    class StopError(Exception):
        pass

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

    class StopError(Exception):
        pass

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
    class StopError(Exception):
        pass

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


def one_cycle(optimizer, config):
    """Sets the momentum too."""
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, config["rate"], total_steps=60)


def warm_up_then_steps(optimizer):
    """Several in a row, each of which goes on from the rate that it finds."""
    kinds = torch.optim.lr_scheduler
    parts = [kinds.LinearLR(optimizer, total_iters=5), kinds.MultiStepLR(optimizer, [4, 20, 33], gamma=0.3)]
    return kinds.SequentialLR(optimizer, parts, milestones=[6])


def with_momentum(model, config):
    return torch.optim.SGD(model.parameters(), lr=config["rate"], momentum=0.9)


class Dense(Net):
    """Without sparse gradients, which momentum cannot take."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(self.embed.num_embeddings, 4)


def scheduled(scheduler, rate=0.5):
    return estimator(Dense, with_momentum, scheduler=scheduler, config={"rate": rate})


def test_a_schedule_sets_the_rate_of_every_step():
    """Against a plain loop over the same batches: each of all rows."""
    table = rows(80).append_column("none", pa.array(np.zeros(80, np.float32)))

    def plain(config):
        torch.manual_seed(0)
        return torch.nn.Linear(1, 1)

    def forward_of_x(config):
        class One(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = plain(config)

            def forward(self, x):
                return self.linear(x[:, None])[:, 0]

        return One()

    def sgd(model, config):
        return torch.optim.SGD(model.parameters(), lr=config["rate"], momentum=0.9)

    for scheduler in (one_cycle, lambda optimizer, config: warm_up_then_steps(optimizer)):
        fitted = estimator(forward_of_x, sgd, scheduler=scheduler, config={"rate": 0.5})
        fitted.fit(table, 30, **FIT | {"feature_cols": ["x"]})
        model = plain({})
        optimizer = sgd(model, {"rate": 0.5})
        schedule = scheduler(optimizer, {"rate": 0.5})
        x, label = (torch.tensor(table[name].to_numpy(), dtype=torch.float32) for name in ("x", "label"))
        for _ in range(30):
            optimizer.zero_grad()
            LOSS(model(x[:, None])[:, 0], label).backward()
            optimizer.step()
            schedule.step()
        for mine, theirs in zip(fitted.get_model().parameters(), model.parameters(), strict=True):
            np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=1e-4)


@pytest.mark.parametrize("scheduler", [one_cycle, warm_up_then_steps])
@pytest.mark.filterwarnings("error")
def test_a_scheduled_run_goes_on_as_if_unbroken(tmp_path, scheduler):
    class StopError(Exception):
        pass

    class Breaks(Dense):
        calls = 0

        def forward(self, **columns):
            Breaks.calls += 1
            if Breaks.calls == 20:
                raise StopError
            return super().forward(**columns)

    settings = {**FIT, "checkpoint_dir": tmp_path / "kept", "checkpoint_steps": 5}
    whole, again, rest = (scheduled(scheduler) for _ in range(3))
    broken = estimator(Breaks, with_momentum, scheduler=scheduler, config={"rate": 0.5})
    whole.fit(rows(), 3, **settings)
    with pytest.raises(StopError):
        broken.fit(rows(), 3, **settings)  # in step 8 of the second epoch
    again.fit(rows(), 3, **settings)
    assert_equal_weights(whole, again)
    again.save(tmp_path / "saved")
    rest.load(tmp_path / "saved")
    for fitted in (again, rest):
        fitted.fit(rows(), 1, **FIT)
    assert_equal_weights(again, rest)


def test_a_schedule_that_ends_is_named(tmp_path):
    def cycle(steps):
        return lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=steps)

    fitted, later = scheduled(cycle(12)), scheduled(cycle(10))
    fitted.fit(rows(), 1, **FIT)  # 12 steps
    fitted.save(tmp_path)
    later.load(tmp_path)
    with pytest.raises(InvalidInputError, match="the scheduler cannot go on to step 13: Tried to step 13 times"):
        fitted.fit(rows(), 1, **FIT)
    with pytest.raises(InvalidInputError, match="the scheduler cannot go on to step 11: Tried to step 11 times"):
        later.fit(rows(), 1, **FIT)


def test_a_schedule_that_has_ended_hinders_training_only(tmp_path):
    def cycle(optimizer):
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=10)

    saved, over = scheduled(None), scheduled(cycle)
    saved.fit(rows(), 1, **FIT)  # 12 steps
    saved.save(tmp_path / "saved")
    over.load(tmp_path / "saved")
    assert over.evaluate(rows(50), feature_cols=FEATURES, label_cols="label")["loss"] > 0
    over.predict(rows(50), feature_cols=FEATURES, path=tmp_path / "out")
    assert_equal_weights(over, saved)
    with pytest.raises(InvalidInputError, match="the scheduler cannot go on to step 11: .* those before save and load"):
        over.fit(rows(), 1, **FIT)


def test_a_schedule_counts_only_to_where_it_is_not_yet(tmp_path):
    asked = []

    def counting(optimizer):
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: asked.append(step) or 1.0)

    saved = scheduled(None)
    saved.fit(rows(), 1, **FIT)  # 12 steps
    saved.save(tmp_path)
    fitted = scheduled(counting)
    fitted.load(tmp_path)
    fitted.evaluate(rows(50), feature_cols=FEATURES, label_cols="label")
    assert asked == [0]
    fitted.fit(rows(100), 1, **FIT)
    assert asked == [0, *range(14)]
    task = fitted._runner._task
    task.load(task.state())  # as workers do that take the weights of the first
    fitted.fit(rows(100), 1, **FIT)
    assert asked == [0, *range(15)]


def test_a_class_of_schedulers_is_one_of_the_optimizer():
    fitted = estimator(scheduler=torch.optim.lr_scheduler.ConstantLR, config={"rate": 0.1})
    assert len(fitted.fit(rows(100), 1, **FIT)) == 1


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (lambda optimizer: [optimizer], [1]),
        (lambda optimizer, settings: [optimizer, settings], [1, {"rate": 2}]),
        (lambda optimizer, config=None: [optimizer, config], [1, {"rate": 2}]),
        (lambda optimizer, steps=10: [optimizer, steps], [1, 10]),
        (lambda optimizer, steps=10, config=None: [optimizer, steps, config], [1, 10, {"rate": 2}]),
        (partial(lambda optimizer, config: [optimizer, config], config=3), [1, 3]),
        (lambda *given: list(given), [1, {"rate": 2}]),
    ],
)
def test_the_config_goes_to_who_has_a_parameter_for_it(function, answer):
    assert called(function, 1, {"rate": 2}) == answer


def test_what_is_loaded_is_trained_on_by_the_schedule_here(tmp_path):
    """At the step where it was saved, as Keras' schedules do."""

    def moving_until(last):
        return lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: float(step < last))

    saved = scheduled(None)
    saved.fit(rows(), 1, **FIT)  # 12 steps
    saved.save(tmp_path)
    for last, moves in ((12, False), (13, True)):
        fitted = scheduled(moving_until(last))
        fitted.load(tmp_path)
        fitted.fit(rows(100), 1, **FIT)
        assert (weights(fitted)["out.weight"] != weights(saved)["out.weight"]).any() == moves


def test_early_stopping_and_functions_at_the_end_of_epochs():
    told = []
    fitted = estimator(config={"rate": 1e-9})
    stopping = EarlyStopping(monitor="val_auc", patience=2)
    history = fitted.fit(
        rows(200), 30, validation_data=rows(100, 1), callbacks=[stopping, lambda e, logs: told.append(e)], **FIT
    )
    assert len(history) < 30
    values = [epoch["val_auc"] for epoch in history]
    assert len(values) - 1 - int(np.argmax(values)) == 2
    assert told == list(range(1, len(history) + 1))
    with pytest.raises(InvalidInputError, match="watches 'f1', which is not among loss, auc"):
        estimator().fit(rows(100), 3, callbacks=[EarlyStopping(monitor="f1")], **FIT)


def test_a_metric_that_is_no_number_is_never_the_best():
    stopping = EarlyStopping(monitor="loss", patience=2)
    assert not stopping.has_stalled([{"loss": value} for value in (math.nan, 3.0, 2.0)])
    assert stopping.has_stalled([{"loss": value} for value in (2.0, math.nan, math.nan)])
    assert stopping.has_stalled([{"loss": math.nan}] * 3)


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
    class StopError(Exception):
        pass

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


@pytest.mark.parametrize("loss", [torch.nn.MSELoss(reduction="sum"), partial(F.mse_loss, reduction="sum")])
def test_a_sum_over_rows_is_for_one_worker(loss):
    class TwoComm(Comm):
        world = 2

    model = torch.nn.Linear(1, 1)
    fields = [Field(name="input", dtype="float32")]
    task = TorchTask(model, torch_optimizer(model, {}), loss, TwoComm())
    task.build_for_predict(fields, {})
    with pytest.raises(InvalidInputError, match="the loss is a sum over rows, .* number of workers; use the mean"):
        task.build(fields, (), Batch({}, {}, 1.0))


def test_bf16_learns_and_gives_float32(trained):
    fitted = estimator(precision="bf16")
    assert fitted.fit(rows(), 6, **FIT)[-1]["auc"] > 0.8
    assert fitted.get_model().hidden.weight.dtype == torch.float32


def test_a_model_may_take_one_dict_and_several_labels():
    class Dict(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.line = torch.nn.Linear(1, 1)

        def forward(self, batch):
            return self.line(batch["x"][:, None])

    def loss(predictions, labels):
        return ((predictions[:, 0] - labels["label"] - labels["user"]) ** 2).mean()

    fitted = estimator(Dict, lambda model: torch.optim.SGD(model.parameters(), lr=1e-3), loss, ())
    history = fitted.fit(rows(), 2, feature_cols=["x"], label_cols=["label", "user"], verbose=False)
    assert history[1]["loss"] < history[0]["loss"]


def with_column(name, values):
    table = rows(len(values))
    return table.set_column(table.column_names.index(name), name, pa.array(values))


@pytest.mark.parametrize(
    ("data", "changes", "message"),
    [
        (with_column("label", [0, 1, 2] * 100), {}, "column 'label' holds 2.0 in row 2 .* labels of a binary loss"),
        (with_column("label", [1] * 300), {}, "all 300 values of label 'label' are 1; there is nothing to tell apart"),
        (with_column("x", [0.5] * 299 + [np.nan]), {}, "column 'x' holds nan in row 299"),
        (rows(300), {"feature_cols": [Categorical("user", 3), *FEATURES[1:]]}, r"'user' holds id .* outside \[0, 3\)"),
        (rows(300), {"feature_cols": ["user", "y"]}, "training data has no column 'y'; it has "),
        (rows(300), {"label_cols": "click"}, "training data has no column 'click'"),
        (rows(300), {"feature_cols": FEATURES[:2]}, r"forward\(user, x, history, history_mask\) does not take"),
        (rows(300), {"feature_cols": None}, "does not name its inputs; give feature_cols"),
        (rows(300), {"batch_size": 0}, "batch_size is 0; it must be a whole number of at least 1"),
        (rows(300), {"epochs": 0}, "epochs is 0"),
        (rows(300), {"max_restarts": 1}, "max_restarts needs a checkpoint_dir"),
        (rows(300), {"callbacks": [3]}, "callback 3 is no EarlyStopping"),
        (rows(300).slice(0, 0), {}, "training data has no rows"),
    ],
)
def test_bad_input_is_named(data, changes, message):
    with pytest.raises(InvalidInputError, match=message):
        estimator().fit(data, **FIT | changes)


def test_fewer_rows_than_a_batch_are_one_batch():
    history = estimator().fit(rows(7), **FIT | {"batch_size": 100})
    assert np.isfinite(history[0]["loss"])


def test_a_model_that_changes_its_inputs_is_named():
    class Changes(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.line = torch.nn.Linear(1, 1)

        def forward(self, x):
            return self.line(x.mul_(2)[:, None])

    with pytest.raises(InvalidInputError, match="the model changed its input 'x' in place"):
        estimator(Changes).fit(rows(50), feature_cols=["x"], label_cols="label", verbose=False)


def test_a_loss_that_is_no_number_stops_the_run():
    with pytest.raises(InvalidInputError, match="the loss became nan in epoch 1, step 1; lower the learning rate"):
        estimator(loss=lambda predictions, labels: predictions.sum() * float("nan"), metrics=()).fit(rows(50), **FIT)


def test_buffers_of_any_shape_and_type_are_the_mean_of_the_workers():
    class TwoComm(Comm):
        world = 2

        def sum(self, values):
            return values * 3  # the other worker has twice what is here

        def same(self, values):
            return values if values.dtype != np.uint8 else 255 - values  # of hashes: rank 0 has others

    model = torch.nn.Linear(1, 1)
    fine = 1 + 2.0**-40
    model.register_buffer("scale", torch.tensor(1.0))
    model.register_buffer("fine", torch.tensor([fine], dtype=torch.float64))
    model.register_buffer("narrow", torch.tensor([2.0], dtype=torch.bfloat16))
    model.register_buffer("count", torch.tensor(7))
    TorchTask(model, torch_optimizer(model, {}), LOSS, TwoComm()).share_buffers()
    assert [buffer.item() for buffer in model.buffers()] == [1.5, 1.5 * fine, 3.0, 7]


def test_a_row_that_stands_in_for_none_leaves_no_trace():
    class TwoComm(Comm):
        world = 2

    model = Norm()
    task = TorchTask(model, torch_optimizer(model, {}), LOSS, TwoComm())
    batch = Batch({"user": np.arange(6)}, {"label": np.float32([0, 1] * 3)}, 1.0)
    task.build([Field(name="user", dtype="int64")], [Field(name="label", dtype="float32")], batch)
    task.train(batch)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert task.train(Batch({"user": np.zeros(1, np.int64)}, {"label": np.ones(1, np.float32)}, 0.0))[0] == 0.0
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy(), err_msg=name)


def squared(predictions, labels):
    return ((torch.sigmoid(predictions) - labels) ** 2).mean()


def test_metrics_need_to_know_what_the_model_gives():
    with pytest.raises(InvalidInputError, match="the loss squared does not tell whether the model gives prob"):
        estimator(loss=squared).fit(rows(50), **FIT)
    told = estimator(loss=squared, metrics=["auc", "binary_accuracy"], outputs="logits")
    assert told.fit(rows(), 5, **FIT)[-1]["binary_accuracy"] > 0.7
    told = estimator(loss=partial(F.binary_cross_entropy_with_logits, pos_weight=torch.tensor(2.0)))
    assert "auc" in told.fit(rows(50), **FIT)[0]


def test_predictions_that_are_no_numbers_are_named():
    def blind(predictions, labels):
        return squared(torch.nan_to_num(predictions), labels)

    class Holes(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.line = torch.nn.Linear(1, 1)

        def forward(self, x):
            return torch.where(x > 0.5, self.line(x[:, None])[:, 0], torch.nan)

    with pytest.raises(InvalidInputError, match=r"\d+ of 50 predictions are nan, which no metric can rank"):
        estimator(Holes, loss=blind, outputs="logits").fit(
            rows(50), feature_cols=["x"], label_cols="label", batch_size=50, verbose=False
        )


def test_the_cores_of_one_worker_are_used():
    seen = []

    class Counts(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.line = torch.nn.Linear(1, 1)

        def forward(self, x):
            seen.append(torch.get_num_threads())
            return self.line(x[:, None])[:, 0]

    before = torch.get_num_threads()
    settings = {"feature_cols": ["x"], "label_cols": "label", "verbose": False}
    estimator(Counts, cores_per_worker=3).fit(rows(50), **settings)
    assert set(seen) == {3}
    assert torch.get_num_threads() == before
    seen.clear()
    estimator(Counts).fit(rows(50), **settings)
    assert set(seen) == {before}


def test_buffers_that_all_workers_have_alike_keep_their_bits():
    class ThreeComm(Comm):
        world = 3

        def sum(self, values):
            return values + values + values

    model = torch.nn.Linear(1, 1)
    table = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    assert ((table + table + table) / 3 != table).any()
    model.register_buffer("frozen", table.clone())
    TorchTask(model, torch_optimizer(model, {}), LOSS, ThreeComm()).share_buffers()
    assert (model.frozen == table).all()


def test_negatives_are_added_to_positives_without_labels():
    table = rows()
    likes = table.filter(pa.compute.equal(table["label"], 1)).select(["user", "x"])
    cents = (likes["x"].to_numpy() * 20).astype(np.int64)
    items = pa.table({"item": np.arange(20), "x": (np.arange(20) / 20 + 0.025).astype(np.float32)})
    chosen = pa.table({"user": likes["user"], "x": items["x"].to_numpy()[cents], "item": cents})

    class Linear(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.out = torch.nn.Linear(3, 1)

        def forward(self, user, x):
            even = (user % 2).float()
            return self.out(torch.stack([even, x, even * x], dim=1))[:, 0]

    fitted = estimator(Linear, lambda model: torch.optim.Adam(model.parameters(), lr=0.3))
    settings = {**FIT, "feature_cols": ["user", "x"], "negatives": Negatives(items=items)}
    history = fitted.fit(chosen, 20, **settings)
    assert history[-1]["auc"] > 0.8
    assert fitted.evaluate(table, label_cols="label")["auc"] > 0.95


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: estimator(backend="ray"), "backend is 'ray'; use local or spark"),
        (lambda: estimator(workers=0), "workers is 0"),
        (lambda: estimator(cores_per_worker=0), "cores_per_worker is 0"),
        (lambda: estimator(metrics=["ndcg"]), "there is no metric 'ndcg'"),
        (lambda: estimator(outputs="scores"), "outputs is 'scores'; use probabilities or logits"),
        (lambda: estimator(precision="fp16"), "precision is 'fp16'; use fp32 or bf16"),
        (lambda: estimator(torch_model({})), "takes a function that makes the model"),
        (lambda: estimator(lambda: 3).fit(rows(50), **FIT), "model_creator returned a int"),
        (lambda: estimator(optimizer=lambda m, c: 3).fit(rows(50), **FIT), "optimizer returned a int"),
        (
            lambda: scheduled(lambda o: 3).fit(rows(50), **FIT),
            "scheduler returned a int; it must return an LRScheduler",
        ),
        (
            lambda: scheduled(lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o)).fit(rows(50), **FIT),
            "a ReduceLROnPlateau, which follows a metric and not the step",
        ),
        (
            lambda: scheduled(lambda o: warm_up_then_steps(with_momentum(Dense(), {"rate": 1}))).fit(rows(50), **FIT),
            "scheduler returned one of another optimizer",
        ),
        (lambda: estimator().save("nowhere"), "there is nothing to save yet"),
        (lambda: estimator().fit(rows(50), checkpoint_steps=3, **FIT), "checkpoint_steps needs a checkpoint_dir"),
        (lambda: estimator().fit(rows(50), checkpoint_steps=0, **FIT), "checkpoint_steps is 0"),
        (lambda: estimator().fit(rows(50), max_restarts=1, **FIT), "max_restarts needs a checkpoint_dir"),
        (
            lambda: estimator().fit(None, callbacks=[EarlyStopping()], **FIT),
            "watches 'val_loss' and there is no validation_data",
        ),
        (lambda: EarlyStopping(mode="least"), "mode 'least'; use auto, min or max"),
        (lambda: EarlyStopping(patience=0), "patience 0; it must be at least 1"),
        (lambda: estimator(workers=8).fit(rows(50), **FIT | {"batch_size": 4}), "8 workers need a row each"),
    ],
)
def test_settings_that_cannot_work_are_named(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make()


def test_what_is_loaded_has_to_be_ours(tmp_path):
    with pytest.raises(NotFoundError, match=r"Estimator\.save writes it"):
        estimator().load(tmp_path)
    (tmp_path / "estimator.safetensors").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(InvalidInputError, match="holds no weights that this code wrote"):
        estimator().load(tmp_path)


def test_lines_tell_rows_per_second(capsys):
    estimator().fit(rows(100), 2, **FIT | {"verbose": True})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Epoch 1/2 - ")
    assert " rows/s - loss: " in lines[0]
