"""What the tests of the estimator on PyTorch models share: estimators of a tiny model, and their weights."""

import numpy as np
import torch
from tests.train.train_models import torch_model, torch_optimizer

from friesian_fast.train import Estimator

LOSS = torch.nn.BCEWithLogitsLoss()


class StopError(Exception):
    """Breaks a run off."""


def estimator(creator=torch_model, optimizer=torch_optimizer, loss=LOSS, metrics=("auc",), **settings):
    return Estimator.from_torch(creator, optimizer, loss, metrics, **settings)


def weights(estimator):
    return {name: value.numpy().copy() for name, value in estimator.get_model().state_dict().items()}


def assert_equal_weights(left, right):
    for name, value in weights(left).items():
        np.testing.assert_array_equal(value, weights(right)[name], err_msg=name)
