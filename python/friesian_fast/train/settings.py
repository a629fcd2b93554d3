"""What callers give to `Estimator`, checked and sorted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from friesian_fast.errors import InvalidInputError
from friesian_fast.train.fields import MASK, Wanted
from friesian_fast.train.input import Input
from friesian_fast.train.job import EarlyStopping
from friesian_fast.train.runtime import available_cores
from friesian_fast.train.source import open_source

BUFFER_ROWS = 1 << 18
Backend = Literal["local", "spark"]
EpochEnd = Callable[[int, Mapping[str, float]], None]


def is_function(value: Any) -> bool:
    """A function that makes a model, and no model (which can be called too)."""
    is_model = hasattr(value, "trainable_variables") or hasattr(value, "state_dict")
    return inspect.isclass(value) or (callable(value) and not is_model)


def cores_of(asked: int | None, backend: Backend, workers: int) -> int:
    """Threads of a worker: of Spark's tasks each has one core, as by default."""
    if asked is not None and asked < 1:
        raise InvalidInputError(f"cores_per_worker is {asked}; it must be at least 1")
    return asked or (1 if backend == "spark" else max(1, available_cores() // max(workers, 1)))


def check_precision(precision: str) -> None:
    """Refuse any but fp32 and bf16."""
    if precision not in ("fp32", "bf16"):
        raise InvalidInputError(f"precision is '{precision}'; use fp32 or bf16")


def check_outputs(outputs: str | None) -> None:
    """Refuse any but probabilities, logits, and nothing said."""
    if outputs not in (None, "probabilities", "logits"):
        raise InvalidInputError(f"outputs is '{outputs}'; use probabilities or logits")


def check_numbers(**numbers: int) -> None:
    """Refuse what is no whole number of at least 1."""
    for name, value in numbers.items():
        if not isinstance(value, int) or value < 1:
            raise InvalidInputError(f"{name} is {value!r}; it must be a whole number of at least 1")


def steps_of(data: Any, epochs: int, batch_size: int, seed: int, buffer_rows: int = BUFFER_ROWS) -> int:
    """How many steps a first `fit` of one worker with these settings takes, for a learning rate that depends on it."""
    pieces = open_source(data, None, name="training data", in_memory=True).pieces
    source = Input(pieces=pieces, features=(), labels=(), batch_size=batch_size, buffer_rows=buffer_rows, seed=seed)
    return sum(source.steps(epoch) for epoch in range(epochs))


def names_of(labels: str | Sequence[str] | None) -> list[str]:
    """One name, several or none as a list."""
    return [] if labels is None else [labels] if isinstance(labels, str) else list(labels)


def columns_read(features: Sequence[Wanted], labels: Sequence[str], negatives: Any) -> list[str]:
    """All that is read; of a mask that is no column its lists."""
    names = [feature.name for feature in features]
    masked = [name.removesuffix(MASK) for name in names if name.endswith(MASK)]
    more = [] if negatives is None else negatives.columns
    return list(dict.fromkeys([*names, *masked, *labels, *more]))


def sorted_callbacks(
    callbacks: Sequence[Any],
) -> tuple[tuple[EarlyStopping, ...], tuple[Any, ...], tuple[EpochEnd, ...]]:
    """Early stopping, Keras callbacks, and functions."""
    stopping = tuple(callback for callback in callbacks if isinstance(callback, EarlyStopping))
    others = [callback for callback in callbacks if not isinstance(callback, EarlyStopping)]
    of_keras = tuple(callback for callback in others if hasattr(callback, "on_epoch_end"))
    own = tuple(callback for callback in others if callback not in of_keras)
    for callback in own:
        if not callable(callback):
            raise InvalidInputError(f"callback {callback!r} is no EarlyStopping, Keras callback or function")
    return stopping, of_keras, own


def check_stopping(stopping: Sequence[EarlyStopping], *, has_validation: bool) -> None:
    """Refuse to watch what will not be measured."""
    for one in stopping:
        if one.monitor.startswith("val_") and not has_validation:
            raise InvalidInputError(
                f"early stopping watches '{one.monitor}' and there is no validation_data; give it, or watch a metric "
                "of the training, such as 'loss'"
            )


def check_checkpoints(directory: str | Path | None, steps: int | None, restarts: int) -> None:
    """Refuse settings of checkpoints that have no place to be."""
    if restarts and directory is None:
        raise InvalidInputError("max_restarts needs a checkpoint_dir to begin again from")
    if steps is not None:
        check_numbers(checkpoint_steps=steps)
        if directory is None:
            raise InvalidInputError("checkpoint_steps needs a checkpoint_dir to keep them in")


def archive_of(model: Any) -> bytes:
    """A model as the bytes of its ``.keras`` file."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="friesian-") as directory:
        path = Path(directory) / "model.keras"
        model.save(path)
        return path.read_bytes()
