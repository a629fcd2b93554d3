"""Tiny models and rows for the tests of the estimator; workers import this by its name."""

import numpy as np
import pyarrow as pa
import torch

USERS = 40


def rows(count=1200, seed=0):
    rng = np.random.default_rng(seed)
    user = rng.integers(0, USERS, count)
    x = rng.random(count).astype(np.float32)
    history = [rng.integers(1, USERS, size).tolist() for size in rng.integers(1, 4, count)]
    label = ((user % 2 == 0) ^ (x > 0.5)).astype(np.int32)
    return pa.table({"user": user, "x": x, "history": history, "label": label})


class Net(torch.nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.embed = torch.nn.Embedding(USERS, 4, sparse=True)
        self.hidden = torch.nn.Linear(9, 16)
        self.dropout = torch.nn.Dropout(dropout)
        self.out = torch.nn.Linear(16, 1)

    def forward(self, user, x, history, history_mask):
        past = (self.embed(history) * history_mask[..., None]).sum(1) / history_mask.sum(1, keepdim=True)
        joined = torch.cat([self.embed(user), past, x[:, None]], dim=1)
        return self.out(self.dropout(torch.relu(self.hidden(joined))))[:, 0]


FEATURES = ["user", "x", "history", "history_mask"]
FIT = {"feature_cols": FEATURES, "label_cols": "label", "batch_size": 100, "verbose": False}


def torch_model(config):
    return Net(config.get("dropout", 0.0))


def torch_optimizer(model, config):
    return torch.optim.Adagrad(model.parameters(), lr=config.get("rate", 0.1))


def keras_model(config):
    import keras
    from keras import layers, ops

    user = keras.Input((), dtype="int32", name="user")
    x = keras.Input((), dtype="float32", name="x")
    history = keras.Input((3,), dtype="int32", name="history")
    mask = keras.Input((3,), dtype="float32", name="history_mask")
    table = layers.Embedding(USERS, 4, name="table")
    past = ops.sum(table(history) * ops.expand_dims(mask, 2), axis=1) / ops.sum(mask, axis=1, keepdims=True)
    joined = layers.Concatenate()([table(user), past, ops.expand_dims(x, 1)])
    hidden = layers.Dense(16, activation="relu")(joined)
    hidden = layers.Dropout(config.get("dropout", 0.0))(hidden)
    score = layers.Dense(1, activation="sigmoid")(hidden)
    model = keras.Model({"user": user, "x": x, "history": history, "history_mask": mask}, score)
    model.compile(keras.optimizers.Adam(config.get("rate", 0.01)), "binary_crossentropy", metrics=["binary_accuracy"])
    return model


def keras_norm_model(config):
    """With a batch normalisation, a metric of Keras' own, and a table that is updated by touched rows."""
    import keras
    from keras import layers

    from friesian_fast.train import adam

    adam.DENSE_ROWS = USERS - 1
    user = keras.Input((), dtype="int32", name="user")
    hidden = layers.BatchNormalization(momentum=0.5)(layers.Dense(4)(layers.Embedding(USERS, 4, name="table")(user)))
    model = keras.Model({"user": user}, layers.Dense(1, activation="sigmoid")(hidden))
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["binary_accuracy"])
    return model


class Norm(torch.nn.Module):
    """With a batch normalisation, which no single row can train."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(USERS, 4, sparse=True)
        self.norm = torch.nn.BatchNorm1d(4)
        self.out = torch.nn.Linear(4, 1)

    def forward(self, user):
        return self.out(self.norm(self.embed(user)))[:, 0]
