"""Schedules of the learning rate: those of PyTorch, step by step, over pauses and ends."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from tests.train.torch_estimators import LOSS, StopError, assert_equal_weights, estimator, weights
from tests.train.train_models import FEATURES, FIT, Net, rows

from friesian_fast.errors import InvalidInputError


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


@pytest.mark.parametrize(
    ("make", "message"),
    [
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
    ],
)
def test_schedulers_that_cannot_work_are_named(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make()
