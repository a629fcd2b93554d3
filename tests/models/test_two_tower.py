"""The towers give unit vectors whose inner product the score follows."""

import keras
import numpy as np
import pyarrow as pa
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.models.inputs import Categorical
from friesian_fast.models.two_tower import TowerInputs, two_tower
from friesian_fast.train import Estimator
from friesian_fast.train.forward import predict

USER = TowerInputs(indicator=[Categorical("verified", 3)], embedding=[Categorical("user", 20)], continuous=["ratio"])
ITEM = TowerInputs(indicator=[Categorical("type", 3)], embedding=[Categorical("item", 20)])


def rows(count, seed=0):
    rng = np.random.default_rng(seed)
    fields = [*USER.categorical, *ITEM.categorical]
    drawn = {field.name: rng.integers(0, field.size, count, dtype=np.int32) for field in fields}
    return drawn | {"ratio": rng.random(count, dtype=np.float32)}


@pytest.fixture(scope="module")
def towers():
    return two_tower(USER, ITEM, hidden_units=[32], dim=16, seed=1)


def test_the_score_is_a_sigmoid_of_the_scaled_cosine(towers):
    columns = rows(50)
    users, items = predict(towers.user, columns), predict(towers.item, columns)
    assert users.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(users, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(items, axis=1), 1, atol=1e-6)
    scale, bias = (float(w.item()) for w in towers.model.get_layer("logit").get_weights())
    expected = 1 / (1 + np.exp(-(scale * (users * items).sum(axis=1) + bias)))
    np.testing.assert_allclose(predict(towers.model, columns), expected, atol=1e-6)


def test_a_vector_depends_on_its_own_columns_only(towers):
    columns = rows(50)
    others = columns | {name: np.zeros_like(columns[name]) for name in ITEM.names}
    np.testing.assert_array_equal(predict(towers.user, columns), predict(towers.user, others))


def test_the_towers_learn_who_likes_what():
    towers = two_tower(USER, ITEM, hidden_units=[32], dim=16, seed=1)
    train, test = rows(4000), rows(1000, seed=1)
    labels = [((c["user"] + c["item"]) % 2).astype(np.float32) for c in (train, test)]
    towers.model.compile(keras.optimizers.Adam(5e-3), "binary_crossentropy")
    tables = [pa.table({**c, "label": label}) for c, label in zip((train, test), labels, strict=True)]
    history = Estimator.from_keras(towers.model, metrics=["auc"]).fit(
        tables[0], epochs=10, batch_size=200, label_cols="label", validation_data=tables[1], verbose=False
    )
    assert history[-1]["val_auc"] > 0.95
    # The bare product ranks as the score does: that is what retrieval searches by.
    product = (predict(towers.user, test) * predict(towers.item, test)).sum(axis=1)
    assert product[labels[1] == 1].mean() > product[labels[1] == 0].mean()


def test_a_name_in_both_towers_is_an_error():
    with pytest.raises(InvalidInputError, match="two inputs named 'user'"):
        two_tower(USER, TowerInputs(embedding=[Categorical("user", 3)]))
