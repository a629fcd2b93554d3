"""The retrieval loss is its definition, row by row, and towers learn by it who likes what."""

import keras
import numpy as np
import pyarrow as pa
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.models.inputs import Categorical
from friesian_fast.models.retrieval import Catalogue, Retrieval
from friesian_fast.models.two_tower import TowerInputs, two_tower
from friesian_fast.train import Estimator

USER = TowerInputs(embedding=[Categorical("user", 12)])
ITEM = TowerInputs(embedding=[Categorical("item", 9)], continuous=["price"])
PRICES = np.linspace(0, 1, 9, dtype=np.float32)


def towers(seed=0):
    return two_tower(USER, ITEM, hidden_units=(), dim=4, embedding_dim=4, seed=seed)


def catalogue(chance=None):
    return Catalogue(columns={"item": np.arange(9), "price": PRICES}, chance=chance)


def batch():
    item = np.array([1, 2, 2, 5, 8], np.int32)
    return {"user": np.array([0, 3, 4, 4, 11], np.int32), "item": item, "price": PRICES[item]}


def vectors(model, x):
    pair = keras.ops.convert_to_numpy(model(x)).astype(np.float64)
    return pair[:, 0], pair[:, 1]


def loss_of(model, x):
    return float(model.compute_loss(x=x, y=None, y_pred=model(x)))


def expected_loss(user, candidates, own):
    """Mean of -log softmax; `candidates` has for each row the pairs of vector and correction, `own` the place."""
    losses = []
    for row, (vector, of_row) in enumerate(zip(user, candidates, strict=True)):
        logits = np.array([vector @ other / 0.1 - correction for other, correction in of_row])
        losses.append(np.log(np.exp(logits).sum()) - logits[own[row]])
    return np.mean(losses)


def test_the_loss_in_a_batch_bars_the_same_item_of_other_rows():
    model, x = Retrieval(towers(), item_id="item", temperature=0.1), batch()
    user, item = vectors(model, x)
    candidates, own = [], []
    for row in range(5):
        others = [at for at in range(5) if at == row or x["item"][at] != x["item"][row]]
        candidates.append([(item[at], 0.0) for at in others])
        own.append(others.index(row))
    assert loss_of(model, x) == pytest.approx(expected_loss(user, candidates, own), rel=1e-5)


def test_the_logarithm_of_the_expected_count_is_taken_off():
    chance = np.linspace(0.01, 0.3, 9)
    model = Retrieval(towers(), item_id="item", temperature=0.1, catalogue=catalogue(chance))
    x = {name: values[[0, 1, 3, 4]] for name, values in batch().items()}
    user, item = vectors(model, x)
    corrections = np.log(4 * chance[x["item"]])
    candidates = [list(zip(item, corrections, strict=True))] * 4
    assert loss_of(model, x) == pytest.approx(expected_loss(user, candidates, range(4)), rel=1e-5)


def test_an_item_that_is_not_in_the_data_counts_as_the_rarest_that_is():
    chance, floored = np.full(9, 0.1), np.full(9, 0.1)
    chance[[0, 5]], chance[8], floored[[0, 5, 8]] = 0.0, 0.02, 0.02
    model, other = (Retrieval(towers(), item_id="item", catalogue=catalogue(of)) for of in (chance, floored))
    assert loss_of(model, batch()) == pytest.approx(loss_of(other, batch()), rel=1e-5)


def test_regularizers_are_added():
    model, x = Retrieval(towers(), item_id="item"), batch()
    plain = loss_of(model, x)
    embedding = next(layer for layer in model.user_tower.layers if isinstance(layer, keras.layers.Embedding))
    embedding.embeddings.regularizer = keras.regularizers.L2(0.5)
    added = 0.5 * np.sum(np.square(keras.ops.convert_to_numpy(embedding.embeddings)))
    assert loss_of(model, x) == pytest.approx(plain + added, rel=1e-5)


def test_hard_negatives_are_for_their_own_row():
    model = Retrieval(towers(), item_id="item", temperature=0.1, catalogue=catalogue(), hard="hard")
    x = {name: values[[0, 3]] for name, values in batch().items()} | {"hard": np.array([[7, 0], [5, 3]], np.int32)}
    user, item = vectors(model, x)
    ids = np.array([7, 3], np.int32)
    hard = keras.ops.convert_to_numpy(model.item_tower({"item": ids, "price": PRICES[ids]}))
    # 0 is no item, and 5 is the second row's own.
    candidates = [[(v, 0.0) for v in (*item, other)] for other in hard]
    assert loss_of(model, x) == pytest.approx(expected_loss(user, candidates, [0, 1]), rel=1e-5)


def test_extra_items_of_the_catalogue_make_it_harder_and_are_corrected():
    plain = Retrieval(towers(), item_id="item", temperature=0.1, catalogue=catalogue())
    mixed = Retrieval(plain.towers, item_id="item", temperature=0.1, catalogue=catalogue(), extra=20)
    assert loss_of(mixed, batch()) > loss_of(plain, batch())
    assert loss_of(mixed, batch()) != loss_of(mixed, batch())  # drawn anew
    chance = np.full(9, 1 / 8)
    even = Retrieval(plain.towers, item_id="item", temperature=0.1, catalogue=catalogue(chance), extra=20, seed=1)
    same = Retrieval(plain.towers, item_id="item", temperature=0.1, catalogue=catalogue(), extra=20, seed=1)
    # Where all items are as likely, the correction is one number for all and changes nothing.
    assert loss_of(even, batch()) == pytest.approx(loss_of(same, batch()), rel=1e-5)


def test_towers_learn_who_likes_what():
    rng = np.random.default_rng(0)
    user = rng.integers(0, 12, 1500)
    item = 1 + (user % 4) * 2 + rng.integers(0, 2, 1500)
    chance = np.bincount(item, minlength=9) / 1500

    def creator(config):
        model = Retrieval(towers(1), item_id="item", catalogue=catalogue(chance), extra=4)
        model.compile(keras.optimizers.Adam(0.03))
        return model

    fitted = Estimator.from_keras(creator)
    rows = pa.table({"user": user, "item": item, "price": PRICES[item]})
    history = fitted.fit(rows, 6, 50, feature_cols=[*USER.categorical, *ITEM.categorical, "price"], verbose=False)
    assert history[-1]["loss"] < history[0]["loss"]
    both = fitted.get_model().towers
    left = both.user.predict({"user": np.arange(12, dtype=np.int32)}, verbose=0)
    right = both.item.predict({"item": np.arange(9, dtype=np.int32), "price": PRICES}, verbose=0)
    best = np.argsort(-(left @ right.T)[:, 1:], axis=1)[:, :2] + 1
    expected = [{1 + (u % 4) * 2, 2 + (u % 4) * 2} for u in range(12)]
    assert [set(row.tolist()) for row in best] == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"item_id": "user"}, "item_id 'user' is no input of the item tower: item, price"),
        ({"temperature": 0}, "temperature must be above 0"),
        ({"extra": 3}, "looked up in the catalogue; give one"),
        ({"catalogue": Catalogue(columns={"item": np.arange(9)})}, "catalogue has no column 'price'"),
        ({"catalogue": catalogue(np.zeros(9))}, "chances must be numbers of at least 0, and not all 0"),
        (
            {"catalogue": Catalogue(columns={"item": np.arange(9) + 1, "price": PRICES})},
            "catalogue's row 1 is of 'item' 2; row i has to be of the item with id i",
        ),
        ({"catalogue": catalogue(np.ones(8))}, r"lengths \[8, 9\]; all must have a row per id"),
    ],
)
def test_what_cannot_be_used_is_named(settings, message):
    with pytest.raises(InvalidInputError, match=message):
        Retrieval(towers(), **{"item_id": "item", **settings})
