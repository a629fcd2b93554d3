"""The estimator on Keras models, in one process: feeding by name, sparse updates, metrics, callbacks, bf16."""

import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from keras import layers
from tests.train.train_models import FEATURES, USERS, keras_model, keras_norm_model, rows

from friesian_fast.errors import InvalidInputError
from friesian_fast.models.own_loss import TFRSModel
from friesian_fast.train import Estimator, TensorBoardLog, adam
from friesian_fast.train.checkpoint import read_state
from friesian_fast.train.comm import Comm
from friesian_fast.train.fields import Field
from friesian_fast.train.input import Batch
from friesian_fast.train.job import Work
from friesian_fast.train.keras_callbacks import KerasCallbacks
from friesian_fast.train.keras_task import KerasTask
from friesian_fast.train.source import source_of
from friesian_fast.train.trainer import Trainer

SPEED = ("rows_per_second", "input_wait")
FIT = {"label_cols": "label", "batch_size": 100, "verbose": False}


def linear(names=("x",), optimizer=None, as_list=False):
    keras.utils.set_random_seed(0)
    inputs = {name: keras.Input((), dtype="float32", name=name) for name in names}
    joined = layers.Concatenate()([layers.Reshape((1,))(tensor) for tensor in inputs.values()] * 2)
    model = keras.Model(list(inputs.values()) if as_list else inputs, layers.Dense(1, activation="sigmoid")(joined))
    model.compile(optimizer or keras.optimizers.SGD(0.5), "binary_crossentropy")
    return model


@pytest.fixture(scope="module")
def trained():
    fitted = Estimator.from_keras(keras_model, config={"rate": 0.02}, metrics=["auc"])
    return fitted, fitted.fit(rows(), 8, validation_data=rows(400, 1), **FIT)


def test_learns_and_measures_what_keras_does(trained):
    fitted, history = trained
    assert history[-1]["val_auc"] > 0.9
    table = rows(400, 1)
    model = fitted.get_model()
    lists = [given + [0] * (3 - len(given)) for given in table["history"].to_pylist()]
    x = {
        "user": table["user"].to_numpy().astype("int32"),
        "x": table["x"].to_numpy(),
        "history": np.array(lists, np.int32),
        "history_mask": (np.array(lists) > 0).astype("float32"),
    }
    expected = model.evaluate(x, table["label"].to_numpy(), verbose=0, return_dict=True)
    measured = fitted.evaluate(table, label_cols="label")
    assert measured["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    assert measured["binary_accuracy"] == pytest.approx(expected["binary_accuracy"], rel=1e-5)
    assert history[-1]["val_binary_accuracy"] == pytest.approx(expected["binary_accuracy"], rel=1e-5)


def test_a_step_is_keras_own():
    """One step on all rows, of our own Adam and of another optimizer, against ``train_on_batch``."""
    table = rows(200)
    for optimizer in (keras.optimizers.Adam, keras.optimizers.Adagrad):
        model, peer = linear(optimizer=optimizer(0.1)), linear(optimizer=optimizer(0.1))
        Estimator.from_keras(model).fit(table, **FIT | {"batch_size": 200})
        peer.train_on_batch({"x": table["x"].to_numpy()}, table["label"].to_numpy()[:, None])
        for mine, theirs in zip(model.get_weights(), peer.get_weights(), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_a_schedule_sets_the_rate_of_every_step_also_after_a_pause(tmp_path):
    """Of our own Adam, against Keras' `fit` in the same order of rows: all of them, at every step."""
    table = rows(200)

    def make():
        return linear(optimizer=keras.optimizers.Adam(keras.optimizers.schedules.PolynomialDecay(0.1, 4, 0.0)))

    peer, model, again = make(), make(), make()
    for _ in range(4):
        peer.train_on_batch({"x": table["x"].to_numpy()}, table["label"].to_numpy()[:, None])
    settings = FIT | {"batch_size": 200}
    fitted = Estimator.from_keras(model)
    fitted.fit(table, 2, **settings)
    fitted.save(tmp_path)
    rest = Estimator.from_keras(again)
    rest.load(tmp_path)
    rest.fit(table, 2, **settings)
    for mine, theirs in zip(again.get_weights(), peer.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    stuck = again.get_weights()
    rest.fit(table, 1, **settings)  # the rate is 0 from here on
    for mine, theirs in zip(again.get_weights(), stuck, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_schedule_of_ones_own_need_not_be_known_to_keras():
    class Warm(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.1 / (1 + tf.cast(step, tf.float32))

        def get_config(self):
            return {}

    history = Estimator.from_keras(linear(optimizer=keras.optimizers.Adam(Warm()))).fit(rows(200), 2, **FIT)
    assert history[1]["loss"] < history[0]["loss"]


def test_the_rate_that_a_callback_set_is_kept():
    class Slow(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.optimizer.learning_rate = 0.0

    fitted = Estimator.from_keras(linear(optimizer=keras.optimizers.Adam(0.1)))
    fitted.fit(rows(50), callbacks=[Slow()], **FIT)
    before = fitted.get_model().get_weights()
    fitted.fit(rows(50), **FIT)
    for mine, theirs in zip(before, fitted.get_model().get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("is_schedule", [True, False])
def test_what_is_loaded_is_trained_on_at_the_rate_of_the_model_here(tmp_path, lazy, is_schedule):
    def make(rate):
        return Estimator.from_keras(linear(optimizer=keras.optimizers.Adam(rate)), lazy_embeddings=lazy)

    saved = make(0.1)
    saved.fit(rows(50), **FIT)
    saved.save(tmp_path)
    rate = keras.optimizers.schedules.PolynomialDecay(0.0, 10, 0.0) if is_schedule else 0.0
    again = make(rate)
    again.load(tmp_path)
    again.fit(rows(50), **FIT)
    again.save(tmp_path / "again")
    kept, later = (read_state(path / "estimator.safetensors")[0] for path in (tmp_path, tmp_path / "again"))
    weights = [name for name in kept if not name.startswith("optimizer/")]
    for name, other in zip(weights, (n for n in later if not n.startswith("optimizer/")), strict=True):
        np.testing.assert_array_equal(kept[name], later[other])
    assert (kept["optimizer/0"], later["optimizer/0"]) == (1, 2)  # steps: the moments are taken over


def test_large_tables_get_lazy_adam_unless_refused(monkeypatch):
    monkeypatch.setattr(adam, "DENSE_ROWS", USERS - 1)
    moved = []
    for lazy in (True, False):
        fitted = Estimator.from_keras(keras_model, lazy_embeddings=lazy)
        first = fitted.get_model().get_layer("table").get_weights()[0]
        table = rows(60)
        table = table.set_column(0, "user", pa.array([1] * 30 + [2] * 30)).set_column(
            2, "history", pa.array([[1]] * 60)
        )
        fitted.fit(table, 1, **FIT)
        later = table.set_column(0, "user", pa.array([3] * 60)).set_column(2, "history", pa.array([[3]] * 60))
        before = fitted.get_model().get_layer("table").get_weights()[0]
        fitted.fit(later, 1, **FIT)
        after = fitted.get_model().get_layer("table").get_weights()[0]
        assert (first[5:] == after[5:]).all()
        moved.append(bool((before[1] != after[1]).any()))
    assert moved == [False, True]


def test_a_run_goes_on_from_its_checkpoint_and_from_what_was_saved(tmp_path):
    class StopError(Exception):
        pass

    def stop(epoch, logs):
        raise StopError

    def make():
        return Estimator.from_keras(keras_model, config={"dropout": 0.5}, metrics=["auc"])

    table, settings = rows(500), {**FIT, "checkpoint_dir": tmp_path / "kept", "checkpoint_steps": 2}
    whole, broken, again, saved = (make() for _ in range(4))
    history = whole.fit(table, 2, **settings)
    whole.save(tmp_path / "saved")
    with pytest.raises(StopError):
        broken.fit(table, 2, callbacks=[stop], **settings)  # after the epoch, before its checkpoint
    resumed = again.fit(table, 2, **settings)
    saved.load(tmp_path / "saved")
    for fitted in (again, saved):
        for left, right in zip(whole.get_model().get_weights(), fitted.get_model().get_weights(), strict=True):
            np.testing.assert_array_equal(left, right)
    for one, other in zip(history, resumed, strict=True):
        assert {**one, **dict.fromkeys(SPEED, 0)} == {**other, **dict.fromkeys(SPEED, 0)}
    other_model = Estimator.from_keras(linear())
    other_model.load(tmp_path / "saved")
    with pytest.raises(InvalidInputError, match="there are . weights and the model has 2: it is another"):
        other_model.get_model()


@pytest.mark.parametrize("lazy", [True, False])
def test_a_loaded_model_predicts_and_is_saved_before_it_is_trained_on(tmp_path, lazy):
    def make():
        return Estimator.from_keras(keras_model, lazy_embeddings=lazy)

    table, whole, rest = rows(200), make(), make()
    whole.fit(table, 1, **FIT)
    whole.save(tmp_path / "kept")
    whole.fit(table, 1, **FIT)
    rest.load(tmp_path / "kept")
    rest.predict(table, path=tmp_path / "out")
    rest.get_model()
    rest.save(tmp_path / "again")
    kept, again = (read_state(tmp_path / name / "estimator.safetensors")[0] for name in ("kept", "again"))
    for name in (name for name in kept if name.startswith("optimizer/")):
        np.testing.assert_array_equal(kept[name], again[name])
    rest.fit(table, 1, **FIT)
    for left, right in zip(whole.get_model().get_weights(), rest.get_model().get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_workers_drop_out_other_units_and_keep_the_same_state():
    class SecondComm(Comm):
        rank = 1

    tasks = []
    for comm in (Comm(), SecondComm()):
        keras.utils.set_random_seed(0)
        tasks.append(KerasTask(keras_model({"dropout": 0.5}), comm))
    first, second = tasks
    second.load(first.state())
    seeds = [variable.value.numpy() for task in tasks for variable in task.model.variables if "seed" in variable.path]
    assert len(seeds) == 2
    assert seeds[0][0] != seeds[1][0]
    assert seeds[0][1] == seeds[1][1]
    for one, other in zip(first.state().values(), second.state().values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_row_that_stands_in_for_none_leaves_no_trace(monkeypatch):
    class TwoComm(Comm):
        world = 2

    monkeypatch.setattr(adam, "DENSE_ROWS", USERS - 1)
    task = KerasTask(keras_norm_model({}), TwoComm())
    fields = [Field(name="user", dtype="int32")], [Field(name="label", dtype="float32")]
    batch = Batch({"user": np.arange(6, dtype=np.int32)}, {"label": np.float32([0, 1] * 3)}, 1.0)
    task.build(*fields, batch)
    task.train(batch)  # so that there are moments, by which touched rows would move
    one = {"user": np.zeros(1, np.int32)}, {"label": np.ones(1, np.float32)}
    before, counted = task.state(), task.metric_state()
    table = task.model.get_layer("table").get_weights()[0]
    assert task.train(Batch(*one, 0.0))[0] == 0.0
    np.testing.assert_array_equal(task.model.get_layer("table").get_weights()[0], table)
    after = task.state()
    moving = [name for name in before if "moving" in name]
    assert len(moving) == 2
    for name in moving:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    for left, right in zip(task.metric_state(), counted, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("loss", ["mse", lambda y, p: tf.reduce_mean((y - p) ** 2)])
def test_metrics_need_to_know_what_the_model_gives(loss):
    def make(**settings):
        model = linear()
        model.compile("sgd", loss)
        return Estimator.from_keras(model, metrics=["binary_accuracy"], **settings)

    with pytest.raises(InvalidInputError, match="does not tell whether the model gives probabilities or logits; say"):
        make().fit(rows(50), **FIT)
    history = make(outputs="probabilities").fit(rows(200), 1, **FIT | {"batch_size": 200})
    x = {"x": rows(200)["x"].to_numpy()}
    hits = (linear().predict(x, verbose=0).reshape(-1) > 0.5) == rows(200)["label"].to_numpy()
    assert history[0]["binary_accuracy"] == pytest.approx(hits.mean())


def test_a_probability_that_is_none_is_named():
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, bias_initializer="ones", kernel_initializer="ones")])
    model.compile("sgd", "binary_crossentropy")
    with pytest.raises(InvalidInputError, match="which is no probability as its loss or outputs says; end it with a"):
        Estimator.from_keras(model, metrics=["auc"]).fit(rows(50), feature_cols=["x"], **FIT)


def test_lists_of_inputs_are_fed_by_name_then_by_order():
    table = rows(100)
    named = Estimator.from_keras(linear(("x", "user"), as_list=True))
    ordered = Estimator.from_keras(linear(("first", "second"), as_list=True))
    named.fit(table, feature_cols=["user", "x"], **FIT)
    ordered.fit(table, feature_cols=["x", "user"], **FIT)
    for left, right in zip(named.get_model().get_weights(), ordered.get_model().get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    with pytest.raises(InvalidInputError, match="the model's input 'first' has no column among the features x"):
        Estimator.from_keras(linear(("first", "second"), as_list=True)).fit(table, feature_cols=["x"], **FIT)


def test_one_input_takes_all_features_side_by_side():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    fitted = Estimator.from_keras(model)
    fitted.fit(rows(100), feature_cols=["x", "user"], **FIT)
    own = keras.Sequential([layers.Dense(1)])
    own.compile("sgd", "mse")
    history = Estimator.from_keras(own).fit(rows(100), feature_cols=["x"], **FIT)
    assert np.isfinite(history[0]["loss"])


def test_keras_callbacks_run_and_set_the_learning_rate(tmp_path):
    seen = []

    class Halve(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            seen.append((epoch, self.model.optimizer.learning_rate.numpy().item(), logs["loss"]))
            self.model.optimizer.learning_rate = 0.0
            self.model.stop_training = epoch == 1

    model = linear(optimizer=keras.optimizers.Adam(0.1))
    weights = []
    Estimator.from_keras(model).fit(
        rows(100), 5, callbacks=[Halve(), lambda e, logs: weights.append(model.get_weights()[0])], **FIT
    )
    assert [(epoch, round(rate, 6)) for epoch, rate, _ in seen] == [(0, 0.1), (1, 0.0)]
    np.testing.assert_array_equal(weights[0], weights[1])


def test_keras_callbacks_are_told_of_every_epoch_and_of_no_other():
    seen = []

    class Told(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(("begin", epoch))
            self.model.optimizer.learning_rate = 0.1 / (epoch + 1)

        def on_epoch_end(self, epoch, logs=None):
            seen.append(("end", epoch))
            self.model.stop_training = epoch == 1

    fitted = Estimator.from_keras(linear(optimizer=keras.optimizers.Adam(0.5)))
    rates = []
    epochs = [("begin", 0), ("end", 0), ("begin", 1), ("end", 1)]
    optimizer = fitted.get_model().optimizer
    callbacks = [Told(), lambda *_: rates.append(float(optimizer.learning_rate.numpy()))]
    for _ in range(2):  # that the first fit was stopped does not stop the second
        fitted.fit(rows(50), 5, callbacks=callbacks, **FIT)
    assert seen == epochs * 2
    assert rates == pytest.approx([0.1, 0.05] * 2)


def test_a_checkpoint_is_of_its_keras_callbacks(tmp_path):
    """Of what they were made with: what they count while they run, in the same objects too, does not matter."""

    class StopError(Exception):
        pass

    class Breaks(keras.callbacks.Callback):
        def __init__(self, at):
            super().__init__()
            self.at = at

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == self.at:
                self.at = None
                raise StopError

    class Stopping(keras.callbacks.EarlyStopping):
        def __init__(self, **settings):
            super().__init__(monitor="loss", min_delta=0.25, **{"patience": 50, **settings})

    settings = {**FIT, "checkpoint_dir": tmp_path}
    first = [Stopping(), Breaks(1)]
    with pytest.raises(StopError):
        Estimator.from_keras(linear()).fit(rows(100), 2, callbacks=first, **settings)
    for others in ([Stopping(patience=49), Breaks(1)], [Stopping()], [Breaks(1), Stopping()]):
        with pytest.raises(
            InvalidInputError, match="of another run, with other callbacks; make the same call again [(]with callbac"
        ):
            Estimator.from_keras(linear()).fit(rows(100), 2, callbacks=others, **settings)
    first[1].at = 1
    with pytest.raises(StopError):  # it began where the checkpoint is
        Estimator.from_keras(linear()).fit(rows(100), 2, callbacks=first, **settings)


def test_callbacks_that_have_run_are_those_that_were_given(tmp_path):
    """Whatever they changed of what they were made with; and those of Keras' that only listen may be others."""

    class StopError(Exception):
        pass

    class Collect(keras.callbacks.Callback):
        def __init__(self, seen, rate=0.5, model=None):
            super().__init__()
            self.seen, self.rate = seen, rate

        def on_epoch_end(self, epoch, logs=None):
            self.seen.append(epoch)
            self.rate *= 0.5

    def stop(epoch, logs):
        raise StopError

    settings = {**FIT, "checkpoint_dir": tmp_path / "kept", "checkpoint_steps": 1}
    given = Collect([])
    loggers = [[keras.callbacks.CSVLogger(tmp_path / name, append=name == "b")] for name in "ab"]
    data = {"batch_size": 50}
    with pytest.raises(StopError):
        Estimator.from_keras(linear()).fit(rows(100), 2, callbacks=[given, *loggers[0], stop], **settings | data)
    with pytest.raises(InvalidInputError, match="of another run, with other callbacks"):
        Estimator.from_keras(linear()).fit(rows(100), 2, callbacks=[Collect([], rate=0.25)], **settings | data)
    assert given.rate == 0.25
    again = Estimator.from_keras(linear()).fit(rows(100), 2, callbacks=[given, *loggers[1]], **settings | data)
    assert len(again) == 2


def test_the_weights_that_callbacks_leave_are_those_of_all_workers():
    class SecondComm(Comm):
        rank, world = 1, 2

        def same(self, values):
            return values * 0 + 3  # what rank 0 has

    model = linear()
    task = KerasTask(model, SecondComm())
    callbacks = (keras.callbacks.EarlyStopping(monitor="loss", restore_best_weights=True),)
    source = source_of(rows(50).select(["x", "label"]), "rows")
    settings = {"batch_size": 50, "buffer_rows": 50, "seed": 0, "epochs": 0, "callbacks": callbacks}
    work = Work(kind="fit", maker=lambda comm: task, source=source, features=None, labels=["label"], **settings)
    trainer = Trainer(work, SecondComm(), task)
    for tell in (trainer.fit, lambda: trainer._end_of_epoch(KerasCallbacks(task, (), Comm()), 0, {})):
        model.set_weights([weight * 0 for weight in model.get_weights()])
        tell()
        assert all((weight == 3).all() for weight in model.get_weights())


def test_a_sum_over_rows_is_for_one_worker():
    class TwoComm(Comm):
        world = 2

    model = linear()
    model.compile("sgd", {"dense": keras.losses.BinaryCrossentropy(reduction="sum")})
    with pytest.raises(InvalidInputError, match="the loss is a sum over rows, .* number of workers; use the mean"):
        KerasTask(model, TwoComm()).build([], [], None)


def test_bf16_computes_in_bfloat16_with_float32_weights():
    fitted = Estimator.from_keras(keras_model, precision="bf16", config={"rate": 0.02}, metrics=["auc"])
    assert fitted.fit(rows(), 8, **FIT)[-1]["auc"] > 0.8
    model = fitted.get_model()
    assert model.get_layer("table").compute_dtype == "bfloat16"
    assert {weight.dtype for weight in model.trainable_variables} == {"float32"}
    assert keras.mixed_precision.dtype_policy().name == "float32"
    with pytest.raises(InvalidInputError, match="give a function that makes it"):
        Estimator.from_keras(linear(), precision="bf16")


def test_a_model_with_its_own_loss_is_trained_by_it():
    class Own(keras.Model):
        def __init__(self, strength=0.0):
            super().__init__()
            self.line = layers.Dense(1, kernel_regularizer=keras.regularizers.L2(strength))

        def call(self, inputs, training=False):
            return self.line(inputs["x"][:, None])[:, 0]

        def compute_loss(self, inputs, training=False):
            features, label = inputs
            return (self(features) - tf.cast(label, tf.float32)) ** 2

    one = {"x": tf.constant([1.0])}, tf.constant([0.0])
    losses = []
    for strength in (0.0, 0.5):
        regular = TFRSModel(Own(strength))
        regular(one[0])
        regular.inner.line.set_weights([np.array([[3.0]]), np.array([0.0])])
        losses.append(float(regular.compute_loss(*one)))
    assert losses == [9.0, 9.0 + 0.5 * 9.0]
    model = TFRSModel(Own())
    model.compile(keras.optimizers.SGD(0.1))
    fitted = Estimator.from_keras(model)
    history = fitted.fit(rows(), 3, feature_cols=["x"], **FIT)
    label = rows()["label"].to_numpy()
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[-1]["loss"] == pytest.approx(label.var(), rel=0.1)
    with pytest.raises(InvalidInputError, match="got a Sequential, which has no compute_loss of its own"):
        TFRSModel(keras.Sequential([layers.Dense(1)]))


def test_tensorboard_gets_the_metrics(tmp_path):
    Estimator.from_keras(linear()).fit(rows(50), 2, callbacks=[TensorBoardLog(tmp_path)], **FIT)
    (file,) = tmp_path.glob("events*")
    assert b"rows_per_second" in file.read_bytes()


def test_models_that_cannot_be_trained_are_named():
    plain = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    with pytest.raises(InvalidInputError, match=r"not compiled; call model\.compile"):
        Estimator.from_keras(plain)
    with pytest.raises(InvalidInputError, match="from_keras got a int"):
        Estimator.from_keras(lambda: 3).fit(rows(50), feature_cols=FEATURES, **FIT)
    with pytest.raises(InvalidInputError, match="compares with a label; give label_cols"):
        Estimator.from_keras(linear()).fit(rows(50), verbose=False)
    with pytest.raises(InvalidInputError, match="training data has no column 'z'"):
        Estimator.from_keras(linear(("z",))).fit(rows(50), **FIT)
