"""What a worker is given to do, and what it gives back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from friesian_fast.errors import InvalidInputError
from friesian_fast.train.comm import Array, Comm
from friesian_fast.train.fields import Field, Wanted, merged, resolve
from friesian_fast.train.input import Batch, Extend
from friesian_fast.train.scores import Scale
from friesian_fast.train.source import Source

State = Mapping[str, Array]
Event = Mapping[str, Any]


class Task(Protocol):
    """A model of some framework: `KerasTask` or `TorchTask`, which say what each of these does."""

    integers: str
    learning_rate: float

    @property
    def is_binary(self) -> bool: ...
    @property
    def scale(self) -> Scale | None: ...
    @property
    def loss_name(self) -> str: ...
    @property
    def needs_labels(self) -> bool: ...
    def wanted(self) -> list[Wanted] | None: ...
    def build(self, features: Sequence[Field], labels: Sequence[Field], first: Batch) -> None: ...
    def build_for_predict(self, features: Sequence[Field], first: Mapping[str, Array]) -> None: ...
    def logits(self, predictions: Array) -> Array: ...
    def begin_training(self) -> None: ...
    def begin(self, seed: Sequence[int]) -> None: ...
    def train(self, batch: Batch) -> tuple[float, Array]: ...
    def score(self, batch: Batch) -> tuple[float, Array]: ...
    def predict(self, inputs: Mapping[str, Array]) -> Array: ...
    def state(self) -> dict[str, Array]: ...
    def load(self, state: State) -> None: ...
    def share_buffers(self) -> None: ...
    def reset_metrics(self) -> None: ...
    def metric_state(self) -> list[Array]: ...
    def set_metric_state(self, state: Sequence[Array]) -> None: ...
    def metrics(self) -> dict[str, float]: ...


# What the names of learning rates begin with in a task's state: Keras' one, and PyTorch's of each group of weights.
RATES = ("optimizer/rate", "optimizer/group/")

# In the history of an epoch, but not of the model.
ABOUT_SPEED = ("rows_per_second", "input_wait")

# Makes the task on a worker.
Maker = Callable[[Comm], Task]


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStopping:
    """Stop when a metric has not improved for some epochs.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Name of the metric, as in the history.
    patience : int, default 1
        After so many epochs without a better value.
    mode : {"auto", "min", "max"}, default "auto"
        Which values are better; "auto" takes the lesser of losses and errors and the greater of everything else.
        NaN is never better.

    Raises
    ------
    InvalidInputError
        If mode or patience is none of these.
    """

    monitor: str = "val_loss"
    patience: int = 1
    mode: Literal["auto", "min", "max"] = "auto"

    def __post_init__(self) -> None:
        if self.mode not in ("auto", "min", "max"):
            raise InvalidInputError(f"early stopping has mode '{self.mode}'; use auto, min or max")
        if not isinstance(self.patience, int) or self.patience < 1:
            raise InvalidInputError(f"early stopping has patience {self.patience!r}; it must be at least 1 epoch")

    def has_stalled(self, history: Sequence[Mapping[str, float]]) -> bool:
        """Whether it is time to stop, after these epochs."""
        if not history:
            return False
        if self.monitor not in history[-1]:
            raise InvalidInputError(
                f"early stopping watches '{self.monitor}', which is not among {', '.join(history[-1])}"
            )
        lesser = any(word in self.monitor for word in ("loss", "error", "mse", "mae", "crossentropy"))
        sign = -1 if self.mode == "min" or (self.mode == "auto" and lesser) else 1
        values = [sign * epoch[self.monitor] for epoch in history]
        values = [-math.inf if math.isnan(value) else value for value in values]  # no number is better than another
        return len(values) - 1 - values.index(max(values)) >= self.patience


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What all workers of one call do.

    Parameters
    ----------
    kind : {"fit", "evaluate", "predict"}
    maker : callable
    state : mapping or None
        Weights to begin with.
    source : Source
    validation : Source or None
    features : list of Wanted or None
        None takes all inputs of the model.
    labels : list of str
    metrics : tuple of str
        Of `scores.NAMES`.
    epochs, first_epoch : int
        How many to train in this call, and how many the model has had before.
    batch_size, buffer_rows, seed : int
    early_stopping : tuple of EarlyStopping
    callbacks : tuple
        Of Keras; rank 0 runs them.
    extend, validation_extend : callable or None
    checkpoint_dir : Path or None
    checkpoint_steps : int or None
        Besides those at the end of each epoch.
    out : Path or None
        Where predictions go.
    """

    kind: Literal["fit", "evaluate", "predict"]
    maker: Maker
    state: State | None = None
    source: Source
    validation: Source | None = None
    features: list[Wanted] | None
    labels: list[str]
    metrics: tuple[str, ...] = ()
    epochs: int = 1
    first_epoch: int = 0
    batch_size: int
    buffer_rows: int
    seed: int
    early_stopping: tuple[EarlyStopping, ...] = ()
    callbacks: tuple[Any, ...] = ()
    extend: Extend | None = None
    validation_extend: Extend | None = None
    checkpoint_dir: Path | None = None
    checkpoint_steps: int | None = None
    out: Path | None = None


@dataclass(slots=True)
class Done:
    """What one worker made of it.

    `history` has the metrics of each epoch, or of the evaluation; `state` the weights after a fit.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    state: State | None = None


def fields_of(work: Work, task: Task) -> list[Field]:
    """The features of the work, or all inputs of the model, checked against the data."""
    of_model = task.wanted()
    wanted = work.features
    if wanted is None:
        if of_model is None:
            raise InvalidInputError("the model does not name its inputs; give feature_cols")
        wanted = of_model
    elif of_model is not None:
        wanted = merged(wanted, {feature.name: feature for feature in of_model})
    source = work.source
    fields = resolve(wanted, source.schema, integers=task.integers, where=source.name)
    if work.validation is not None:
        resolve(wanted, work.validation.schema, integers=task.integers, where=work.validation.name)
    return fields


def is_binary(work: Work, task: Task) -> bool:
    """Whether labels are 0 and 1: the loss takes such, or the metrics do."""
    return task.is_binary or bool(work.metrics)


def labels_of(work: Work, task: Task, source: Any) -> list[Field]:
    """The label columns; those of a binary loss may hold 0 and 1 only, and must hold both."""
    if task.needs_labels and not work.labels:
        raise InvalidInputError("the model's loss compares with a label; give label_cols")
    made = [] if work.extend is None else [n for n in work.labels if n not in source.schema.names]
    dtype = "float32" if is_binary(work, task) else None
    wanted = [Wanted(name, dtype=dtype) for name in work.labels if name not in made]
    fields = resolve(wanted, source.schema, integers=task.integers, where=source.name)
    fields += [Field(name=name, dtype="float32", is_made=True) for name in made]
    if not is_binary(work, task):
        return fields
    for name in work.labels:
        low, high = source.ranges.get(name, (0.0, 1.0))
        if low == high and low in (0.0, 1.0) and work.extend is None and work.kind == "fit":
            raise InvalidInputError(
                f"{source.name}: all {source.rows} values of label '{name}' are {low:g}; there is nothing to tell apart"
            )
    return [replace(label, is_binary=True) for label in fields]
