"""Of an embedding table only the rows that a batch touches go from worker to worker, each once."""

import numpy as np
import pytest
import torch
from tests.train.train_models import FEATURES, keras_model, rows, torch_model, torch_optimizer

from friesian_fast.train.comm import Comm
from friesian_fast.train.fields import Wanted
from friesian_fast.train.job import Work
from friesian_fast.train.makers import KerasMaker, TorchMaker
from friesian_fast.train.source import source_of
from friesian_fast.train.torch_task import _rows
from friesian_fast.train.trainer import Trainer


class RecordingComm(Comm):
    """The first of two workers, whose other never has a gradient."""

    world = 2

    def __init__(self):
        self.summed, self.tables = [], []

    def sum(self, values):
        self.summed.append(values.size)
        return values

    def gather_rows(self, tables):
        self.tables += [(numbers.copy(), gradients.shape) for numbers, gradients in tables]
        return list(tables)


MAKERS = {
    "keras": KerasMaker(creator=keras_model),
    "torch": TorchMaker(creator=torch_model, optimizer=torch_optimizer, loss=torch.nn.BCEWithLogitsLoss()),
}


@pytest.mark.parametrize("framework", MAKERS)
def test_only_touched_rows_are_sent(framework):
    maker, comm = MAKERS[framework], RecordingComm()
    table = rows(8)
    features = [Wanted(name) for name in FEATURES]
    source = source_of(table, "rows")
    work = Work(
        kind="fit", maker=maker, source=source, features=features, labels=["label"], batch_size=8, buffer_rows=8, seed=0
    )
    task = maker(comm)
    Trainer(work, comm, task).fit()
    (numbers, shape), *others = comm.tables
    assert others == []
    # The worker has the first half of the rows. What fills the lists up is item 0, whose gradient is 0.
    mine = table.slice(0, 4)
    touched = {*mine["user"].to_pylist(), *(item for past in mine["history"].to_pylist() for item in past), 0}
    assert len(numbers) == len(set(numbers.tolist()))
    assert set(numbers.tolist()) | {0} == touched
    assert shape == (len(numbers), 4)
    dense = 9 * 16 + 16 + 16 + 1
    assert dense in comm.summed  # all other gradients, in one message


def test_who_touched_no_row_sends_none_of_the_same_type():
    numbers, values = _rows(torch.nn.Parameter(torch.zeros(3, 2, dtype=torch.float64)))
    assert (numbers.dtype, values.dtype, values.shape) == (np.int64, np.float64, (0, 2))
