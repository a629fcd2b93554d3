"""Ranker and towers learn what is there, from columns as they come."""

import keras
import numpy as np
import pandas as pd
import pytest
from tests.usecases.test_online_retail_features import CUT

from friesian_fast.errors import InvalidInputError
from friesian_fast.evaluate.pointwise import auc
from friesian_fast.train import Estimator
from friesian_fast.train.forward import predict
from friesian_fast.usecases.online_retail.features import Vocabularies, feature_spec, item_features, user_features
from friesian_fast.usecases.online_retail.ranking import MEMBERS, train_ranker
from friesian_fast.usecases.online_retail.retrieval import RetrievalSettings, train_towers


def examples(count, seed):
    """Neither column says anything by itself; one is far from 0 and wide, one never changes."""
    rng = np.random.default_rng(seed)
    left, right = rng.normal(size=(2, count))
    rows = {"left": 500 + 100 * left, "right": 0.01 * right, "still": np.full(count, 7.0)}
    return {name: values.astype(np.float32) for name, values in rows.items()}, (left * right > 0).astype(np.float32)


def test_the_ranker_learns_from_numbers_as_they_are():
    ranker = train_ranker(*examples(6000, 0), epochs=6, batch_size=100, seed=0)
    rows, labels = examples(1000, 1)
    assert [tensor.name for tensor in ranker.inputs] == ["left", "right", "still"]
    scores = predict(ranker, rows)
    assert auc(labels, scores) > 0.95
    for number in range(MEMBERS):
        assert auc(labels, predict(ranker.get_layer(f"member_{number}"), rows)[:, 0]) > 0.9
    assert 0 < scores.min() < 0.2 < 0.8 < scores.max() < 1


def test_the_rankers_members_are_others_and_the_seed_repeats_them():
    first, again, other = (train_ranker(*examples(500, 0), epochs=1, batch_size=100, seed=seed) for seed in (3, 3, 4))
    rows = examples(50, 1)[0]
    np.testing.assert_array_equal(predict(first, rows), predict(again, rows))
    assert np.abs(predict(first, rows) - predict(other, rows)).max() > 1e-3
    kernels = [first.get_layer(f"member_{number}").get_layer("dense_1").get_weights()[0] for number in range(MEMBERS)]
    assert all(np.abs(kernels[0] - kernel).max() > 0.01 for kernel in kernels[1:])


@pytest.mark.parametrize(("epochs", "late"), [(2, 0), (5, 1)])
def test_the_last_third_of_the_epochs_takes_smaller_steps(epochs, late, monkeypatch):
    rates, fit = [], Estimator.fit

    class Rates(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    monkeypatch.setattr(
        Estimator, "fit", lambda self, *given, **options: fit(self, *given, callbacks=[Rates()], **options)
    )
    train_ranker(*examples(200, 0), epochs=epochs, batch_size=100, seed=0)
    assert rates == pytest.approx(([1e-3] * (epochs - late) + [2e-4] * late) * MEMBERS)


def test_the_ranker_may_have_one_column():
    rows, _ = examples(500, 0)
    ranker = train_ranker(
        {"left": rows["left"]}, (rows["left"] > 500).astype(np.float32), epochs=3, batch_size=50, seed=0
    )
    assert auc(rows["left"] > 500, predict(ranker, {"left": rows["left"]})) > 0.95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows, labels: (rows, labels[:400]),
            r"column 'left' has shape \(500,\), the 400 labels ask for \(400,\)",
        ),
        (lambda rows, labels: (rows | {"right": rows["right"][1:]}, labels), r"column 'right' has shape \(499,\)"),
        (lambda rows, labels: (rows | {"still": rows["still"][:, None]}, labels), r"'still' has shape \(500, 1\)"),
        (lambda rows, labels: (rows, np.zeros_like(labels)), "all 500 values of label 'label' are 0"),
        (lambda rows, labels: (rows, labels * 0.5), "column 'label' holds 0.5 in row"),
        (
            lambda rows, labels: (rows | {"left": np.where(np.arange(500) == 3, np.nan, rows["left"])}, labels),
            "column 'left' holds nan in row 3",
        ),
    ],
)
def test_examples_that_teach_nothing_are_refused(change, message):
    with pytest.raises(InvalidInputError, match=message):
        train_ranker(*change(*examples(500, 0)), epochs=1, seed=0)


CHANGED, POPULAR = 30, 31


def sales_of_two_circles():
    """Users of even numbers buy items of even numbers only; of two more, one changes circles and one is everybody's."""
    rng = np.random.default_rng(0)

    def lines(count, user, item, days):
        return pd.DataFrame({"user": user, "item": item, "age": rng.integers(*days, count)})

    user = rng.integers(0, 60, 6000)
    frame = pd.concat(
        [
            lines(6000, user, 2 * rng.integers(0, 15, 6000) + user % 2, (1, 100)),
            lines(400, 2 * rng.integers(0, 30, 400), CHANGED, (240, 300)),
            lines(150, 2 * rng.integers(0, 30, 150) + 1, CHANGED, (1, 30)),
            lines(1200, rng.integers(0, 60, 1200), POPULAR, (1, 100)),
        ],
        ignore_index=True,
    )
    return pd.DataFrame(
        {
            "user_id": frame["user"] + 100,
            "item_id": (10000 + frame["item"]).astype(str),
            "description": "THING " + frame["item"].astype(str),
            "invoice": frame.index.astype(str),
            "quantity": 1.0,
            "price": 2.0,
            "time": CUT - pd.to_timedelta(frame["age"], unit="D"),
        }
    )


def towers_of(sales, lines, **options):
    """Users' and items' vectors, by number."""
    vocabularies = Vocabularies(sales)
    users, items = user_features(sales, CUT, vocabularies), item_features(sales, CUT, vocabularies)
    settings = RetrievalSettings(dim=8, batch_size=100, learning_rate=1e-2, **options)
    user, item = train_towers(feature_spec(vocabularies), users, items, sales, settings, lines.append)
    assert users["user_id"].tolist() == list(range(100, 160))
    assert items["item_id"].tolist() == [f"{10000 + number}" for number in range(32)]
    return user, item


def test_the_towers_learn_who_buys_what_now():
    lines = []
    user, item = towers_of(sales_of_two_circles(), lines, epochs=5)
    assert (user.shape, item.shape) == ((60, 8), (32, 8))
    for vectors in (user, item):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = user @ item.T
    circles, same = cosines[:, :CHANGED], np.arange(60)[:, None] % 2 == np.arange(CHANGED) % 2
    own, others = np.where(same, circles, np.inf).min(axis=1), np.where(same, -np.inf, circles).max(axis=1)
    assert (own > others).all()
    # Bought more often long ago, by the others; what is late is drawn more often.
    assert cosines[1::2, CHANGED].mean() > cosines[::2, CHANGED].mean() + 0.1
    # The loss knows how often an item is drawn; else what everybody buys would be pushed away most.
    assert cosines[:, POPULAR].mean() > circles[same].mean() + 0.05
    assert [line.split(" - ")[0] for line in lines] == [f"Two-tower epoch {number}/5" for number in range(1, 6)]


def test_the_towers_seed_repeats_them():
    sales = sales_of_two_circles()
    first, again, other = (np.concatenate(towers_of(sales, [], epochs=1, seed=seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
