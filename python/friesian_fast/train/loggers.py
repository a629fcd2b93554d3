"""Metrics of each epoch for TensorBoard and MLflow, if they are installed: callbacks of `Estimator.fit`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from friesian_fast.errors import NotSupportedError


class TensorBoardLog:
    """Writes scalars for TensorBoard.

    Parameters
    ----------
    directory : path

    Raises
    ------
    NotSupportedError
        If neither TensorFlow nor the tensorboard package is installed.
    """

    def __init__(self, directory: str | Path) -> None:
        self._directory = str(directory)
        self._writer = _scalar_writer(self._directory)

    def __call__(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Write the metrics of an epoch."""
        for name, value in logs.items():
            self._writer(name, value, epoch)


def _scalar_writer(directory: str) -> Any:
    try:
        import tensorflow as tf
    except ImportError:
        return _writer_of_torch(directory)
    writer = tf.summary.create_file_writer(directory)
    # As `tf.summary.scalar` marks its values, which needs the tensorboard package.
    scalars = tf.compat.v1.SummaryMetadata(plugin_data={"plugin_name": "scalars"}, data_class="DATA_CLASS_SCALAR")

    def write(name: str, value: float, epoch: int) -> None:
        with writer.as_default(step=epoch):
            tf.summary.write(name, tf.constant(value, tf.float32), metadata=scalars)
        writer.flush()

    return write


def _writer_of_torch(directory: str) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise NotSupportedError("TensorBoardLog needs TensorFlow, or torch and: pip install tensorboard") from error
    writer = SummaryWriter(directory)

    def write(name: str, value: float, epoch: int) -> None:
        writer.add_scalar(name, value, epoch)
        writer.flush()

    return write


class MLflowLog:
    """Logs metrics to the active MLflow run, or to a new one.

    Raises
    ------
    NotSupportedError
        If MLflow is not installed.
    """

    def __init__(self) -> None:
        try:
            import mlflow
        except ImportError as error:
            raise NotSupportedError("MLflowLog needs MLflow: pip install mlflow") from error
        self._mlflow = mlflow

    def __call__(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Log the metrics of an epoch."""
        self._mlflow.log_metrics(dict(logs), step=epoch)
