"""A model run over columns answers as it does row by row."""

import numpy as np
import pytest

from friesian_fast.models.inputs import Categorical
from friesian_fast.models.wide_and_deep import WideAndDeepInputs, wide_and_deep
from friesian_fast.train.forward import predict

INPUTS = WideAndDeepInputs(indicator=[Categorical("type", 4)], embedding=[Categorical("user", 50)], continuous=["x"])


def columns(count=100):
    rng = np.random.default_rng(0)
    drawn = {field.name: rng.integers(0, field.size, count, dtype=np.int32) for field in INPUTS.categorical}
    return drawn | {"x": rng.random(count, dtype=np.float32)}


@pytest.mark.parametrize("batch_size", [7, 50, 100, 1000])
def test_the_answer_does_not_depend_on_the_batch(batch_size):
    model, rows = wide_and_deep(INPUTS, hidden_units=[8]), columns()
    one_by_one = [
        model({name: value[at : at + 1] for name, value in rows.items()}, training=False).numpy()[0]
        for at in range(100)
    ]
    scores = predict(model, rows, batch_size=batch_size)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, one_by_one, atol=1e-6)


def test_columns_that_the_model_does_not_take_are_ignored():
    model, rows = wide_and_deep(INPUTS, hidden_units=[8]), columns()
    others = dict(reversed(rows.items())) | {"unused": np.zeros(3)}
    np.testing.assert_array_equal(predict(model, others), predict(model, rows))
