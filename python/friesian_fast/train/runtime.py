"""TensorFlow's process-wide settings, made before its first operation."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def use_cores(cores: int | None) -> None:
    """Give TensorFlow so many threads; it has no effect once TensorFlow has run an operation.

    Parameters
    ----------
    cores : int or None
        None means all the cores this process may run on; more than there are is cut to that.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with _stderr_closed():
        import tensorflow as tf
    # Else it warns when a process runs its fifth model, though each is compiled only once.
    tf.get_logger().setLevel("ERROR")

    threads = min(cores or available_cores(), available_cores())
    # In a notebook or a test TensorFlow may be running already; then its threads are what they are.
    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


@contextmanager
def torch_cores(cores: int | None) -> Iterator[None]:
    """Give PyTorch so many threads while the block runs; None leaves it those it has."""
    if cores is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _stderr_closed() -> Iterator[None]:
    """Keep TensorFlow's start-up notices out of the training log: no setting silences those it prints while loading."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def available_cores() -> int:
    """The cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
