"""LightGBM on the ranker's features: the peer of its AUC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import MissingExtraError

ROUNDS = 600
PATIENCE = 30
LEAVES = (15, 31, 63)
SETTINGS: dict[str, Any] = {
    "objective": "binary",
    "metric": "auc",
    "learning_rate": 0.05,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
Columns = Mapping[str, NDArray[Any]]


class BoostedTrees:
    """Gradient-boosted trees, as large and as many as did best on the last month of the examples, learnt from all.

    Parameters
    ----------
    earlier, last : pair of columns and labels
        Columns are ndarrays of shape (n,).
    seed : int
    """

    def __init__(self, earlier: tuple[Columns, NDArray[Any]], last: tuple[Columns, NDArray[Any]], *, seed: int) -> None:
        try:
            import lightgbm
        except ImportError as error:
            raise MissingExtraError("LightGBM beside the ranker", "bench") from error
        self.names = list(earlier[0])
        parts = [(self._table(columns), labels) for columns, labels in (earlier, last)]
        tried = []
        for leaves in LEAVES:
            settings = SETTINGS | {"seed": seed, "num_leaves": leaves}
            train = lightgbm.Dataset(*parts[0])
            valid = lightgbm.Dataset(*parts[1], reference=train)
            stop = lightgbm.early_stopping(PATIENCE, verbose=False)
            model = lightgbm.train(settings, train, ROUNDS, valid_sets=[valid], callbacks=[stop])
            tried.append((model.best_score["valid_0"]["auc"], model.best_iteration, settings))
        _, self.rounds, settings = max(tried, key=lambda one: one[0])
        self.leaves: int = settings["num_leaves"]
        table, labels = (np.concatenate([part[i] for part in parts]) for i in range(2))
        self._model: Any = lightgbm.train(settings, lightgbm.Dataset(table, labels), self.rounds)

    def score(self, columns: Columns) -> NDArray[np.float32]:
        """One score for each row."""
        return np.asarray(self._model.predict(self._table(columns)), np.float32)

    def _table(self, columns: Columns) -> NDArray[np.float32]:
        return np.column_stack([np.asarray(columns[name], np.float32) for name in self.names])
