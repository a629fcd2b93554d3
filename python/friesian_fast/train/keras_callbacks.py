"""Keras callbacks in the training loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from friesian_fast.train.comm import Comm


class KerasCallbacks:
    """Runs Keras callbacks at the beginnings and ends of epochs; those of batches are not called.

    Parameters
    ----------
    task : Task
        Whose model they get.
    callbacks : sequence of keras.callbacks.Callback
    comm : Comm
        Gets to know which of them is running.
    """

    def __init__(self, task: Any, callbacks: Sequence[Any], comm: Comm) -> None:
        self._task = task
        self._callbacks = callbacks
        self._comm = comm
        if callbacks:
            task.model.stop_training = False  # a fit before may have been stopped
        for callback in callbacks:
            callback.set_model(task.model)
        self._call("on_train_begin")

    def epoch_begin(self, epoch: int) -> None:
        """Before an epoch, from 0."""
        self._call("on_epoch_begin", epoch)

    def epoch_end(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """After an epoch: whether to stop."""
        self._call("on_epoch_end", epoch, dict(logs))
        return bool(self._callbacks) and bool(getattr(self._task.model, "stop_training", False))

    def train_end(self) -> None:
        """After the last epoch."""
        self._call("on_train_end")

    def _call(self, method: str, *arguments: Any) -> None:
        for callback in self._callbacks:
            with self._comm.doing(f"in {type(callback).__qualname__}.{method}"):
                getattr(callback, method)(*arguments)
