"""Negatives are of the asked kind, never a positive of the user, and the same on any number of workers."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.train import Negatives
from friesian_fast.train.fields import Field
from friesian_fast.train.input import Draw, Input
from friesian_fast.train.source import open_source

ITEMS = pd.DataFrame({"item": [30, 10, 20, 40, 50], "price": [3.0, 1.0, 2.0, 4.0, 5.0]})
DATA = pa.table({"user": [0, 0, 1, 1, 2, 2], "item": [10, 20, 10, 30, 10, 40], "price": [1.0, 2.0, 1.0, 3.0, 1.0, 4.0]})
SOURCE = open_source(DATA, None, name="rows")


def sampled(seed=0, offset=0, total=6, rows=slice(None), **settings):
    sampler = Negatives(items=ITEMS, **settings).prepared(SOURCE)
    columns = {name: DATA[name].to_numpy()[rows] for name in DATA.column_names}
    return sampler(columns, Draw(np.random.default_rng(seed), offset, total))


def test_every_positive_is_followed_by_items_its_user_has_not():
    batch = sampled(per_positive=3)
    assert batch["label"].tolist() == [1] * 6 + [0] * 18
    assert batch["user"].tolist() == DATA["user"].to_pylist() + [u for u in DATA["user"].to_pylist() for _ in range(3)]
    has = set(zip(DATA["user"].to_pylist(), DATA["item"].to_pylist(), strict=True))
    negatives = list(zip(batch["user"][6:].tolist(), batch["item"][6:].tolist(), strict=True))
    assert not has & set(negatives)
    # The item's columns come with it.
    assert batch["price"].tolist() == [item / 10 for item in batch["item"].tolist()]


@pytest.mark.parametrize(("kind", "never"), [("uniform", set()), ("popularity", {50}), ("in-batch", {50})])
def test_kinds_draw_from_where_they_say(kind, never):
    drawn = set()
    for seed in range(30):
        drawn |= set(sampled(seed, kind=kind, per_positive=4)["item"][6:].tolist())
    assert drawn == {20, 30, 40, 50} - never  # everybody has 10


def test_popular_items_are_drawn_as_often_as_they_are_chosen():
    nobody = pd.DataFrame({"user": [99], "item": [10]})
    sampler = Negatives(items=ITEMS, kind="popularity", exclude=nobody).prepared(SOURCE)
    np.testing.assert_allclose(np.diff(sampler.chances, prepend=0), [3 / 6, 1 / 6, 1 / 6, 1 / 6, 0])


def test_what_is_excluded_can_be_said():
    others = pd.DataFrame({"user": [0, 0, 0], "item": [20, 30, 99]})
    drawn = {
        item for seed in range(20) for item in sampled(seed, exclude=others, rows=slice(0, 1), total=1)["item"][1:]
    }
    assert drawn == {10, 40, 50}
    nothing = pd.DataFrame({"user": [0], "item": [10]})[:0]
    drawn = {
        item for seed in range(40) for item in sampled(seed, exclude=nothing, rows=slice(0, 1), total=1)["item"][1:]
    }
    assert drawn == {10, 20, 30, 40, 50}


def test_of_validation_data_its_own_positives_are_not_drawn_either():
    rows = pa.table({"user": [0, 9], "item": [30, 50]})
    sampler = Negatives(items=ITEMS, per_positive=40).prepared(SOURCE)
    of_validation = sampler.also_without(open_source(rows, None, name="validation data"))
    columns = {name: rows[name].to_numpy() for name in rows.column_names}

    def drawn(sampler):
        batch = sampler(columns, Draw(np.random.default_rng(0), 0, 2))["item"][2:]
        return set(batch[:40].tolist()), set(batch[40:].tolist())

    assert drawn(sampler) == ({30, 40, 50}, {10, 20, 30, 40, 50})
    assert drawn(of_validation) == ({40, 50}, {10, 20, 30, 40})
    other = open_source(pa.table({"user": [0], "item": [60]}), None, name="validation data")
    with pytest.raises(InvalidInputError, match="validation data has item 60, which is not in the table of items"):
        sampler.also_without(other)


def test_ids_of_64_bits_do_not_fall_together():
    users = np.array([2**62, 2**62 + 2**60, -(2**63), 2**63 - 1])
    rows = pa.table({"user": users, "item": [10, 20, 30, 40]})
    sampler = Negatives(items=ITEMS, per_positive=60).prepared(open_source(rows, None, name="rows"))
    columns = {"user": users, "item": np.array([10, 20, 30, 40])}
    batch = sampler(columns, Draw(np.random.default_rng(0), 0, 4))["item"][4:].reshape(4, 60)
    for own, drawn in zip([10, 20, 30, 40], batch, strict=True):
        assert set(drawn.tolist()) == {10, 20, 30, 40, 50} - {own}


def test_a_user_who_has_everything_gets_one_of_their_own():
    everything = pa.table({"user": [0] * 5, "item": [10, 20, 30, 40, 50]})
    sampler = Negatives(items=ITEMS).prepared(open_source(everything, None, name="rows"))
    columns = {"user": np.zeros(2, np.int64), "item": np.array([10, 20])}
    batch = sampler(columns, Draw(np.random.default_rng(0), 0, 2))
    assert len(batch["item"]) == 4


def test_workers_draw_what_one_process_draws():
    whole = sampled(per_positive=2)["item"][6:]
    left = sampled(per_positive=2, total=6, rows=slice(0, 2))["item"][2:]
    right = sampled(per_positive=2, offset=2, total=6, rows=slice(2, 6))["item"][4:]
    assert np.concatenate([left, right]).tolist() == whole.tolist()


def test_validation_has_the_same_negatives_on_any_number_of_workers():
    sampler = Negatives(items=ITEMS, per_positive=2).prepared(SOURCE)
    settings = {"pieces": SOURCE.pieces, "batch_size": 4, "buffer_rows": 4, "extend": sampler}
    settings["features"] = [Field(name="user", dtype="int32"), Field(name="item", dtype="int32")]
    settings["labels"] = [Field(name="label", dtype="float32", is_made=True)]

    def pairs(world):
        found = []
        for rank in range(world):
            for batch in Input(**settings, rank=rank, world=world).batches(None):
                found += zip(batch.inputs["user"].tolist(), batch.inputs["item"].tolist(), strict=True)
        return sorted(found)

    assert len(pairs(1)) == 18
    assert pairs(1) == pairs(2) == pairs(3)


def test_batches_have_the_label_that_the_data_lacks():
    sampler = Negatives(items=ITEMS, per_positive=2).prepared(SOURCE)
    read = [Field(name="price", dtype="float32"), Field(name="item", dtype="int32")]
    label = Field(name="label", dtype="float32", is_made=True)
    data = Input(
        pieces=SOURCE.pieces,
        features=read,
        labels=[label],
        batch_size=3,
        buffer_rows=10,
        extend=sampler,
        others=[Field(name="user", dtype="int64")],
    )
    steps = list(data.batches(0))
    assert [batch.labels["label"].tolist() for batch in steps] == [[1] * 3 + [0] * 6] * 2
    assert {*steps[0].inputs} == {"price", "item"}
    assert steps[0].inputs["item"].dtype == np.int32
    assert (steps[0].inputs["price"] == steps[0].inputs["item"] / 10).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "hard"}, "negatives of kind 'hard', 1 per positive; use uniform"),
        ({"per_positive": 0}, "0 per positive"),
        ({"items": pd.DataFrame({"id": [1]})}, "table of items has no column 'item'; it has id"),
        ({"items": pd.DataFrame({"item": [10, 10]})}, "has item 10 twice"),
        ({"items": pd.DataFrame({"item": [10, 20, 30]})}, "rows has item 40, which is not in the table of items"),
        ({"items": pd.DataFrame({"item": [10], "price": [None]})}, "column 'price' has missing values"),
        ({"items": [10]}, "the table of items is a list"),
        ({"user_col": "customer"}, "rows has no column 'customer'; negatives need users and items"),
        ({"exclude": pd.DataFrame({"user": [1]})}, "the table of pairs to exclude has no column 'item'"),
    ],
)
def test_what_cannot_be_drawn_from_is_named(settings, message):
    with pytest.raises(InvalidInputError, match=message):
        Negatives(**{"items": ITEMS, **settings}).prepared(SOURCE)
