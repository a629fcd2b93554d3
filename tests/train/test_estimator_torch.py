"""The estimator on PyTorch models, in one process: what it learns, keeps, gives back and refuses."""

import math
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from tests.train.torch_estimators import LOSS, assert_equal_weights, estimator, weights
from tests.train.train_models import FEATURES, FIT, rows, torch_model, torch_optimizer

from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.models.inputs import Categorical
from friesian_fast.train import EarlyStopping, Negatives
from friesian_fast.train.makers import called


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


def test_bf16_learns_and_gives_float32():
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
