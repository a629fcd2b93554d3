"""What the PyTorch task does as one of several workers, without starting any."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.train.torch_estimators import LOSS, estimator
from tests.train.train_models import Norm, rows, torch_optimizer

from friesian_fast.errors import InvalidInputError
from friesian_fast.train.comm import Comm
from friesian_fast.train.fields import Field
from friesian_fast.train.input import Batch
from friesian_fast.train.torch_task import TorchTask


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
