"""A PyTorch model as the training loop sees it: steps on NumPy batches, gradients to add up, weights by name."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from friesian_fast.errors import InvalidInputError
from friesian_fast.train.comm import Array, Comm, differing, refuse_sum, sum_all
from friesian_fast.train.fields import Field, Wanted
from friesian_fast.train.input import Batch
from friesian_fast.train.scores import Scale, as_logits

_OPTIMIZER = "optimizer/"
_SETTING = "optimizer/group/"
_STEPS = "optimizer/steps"
_WITH_LOGITS = F.binary_cross_entropy_with_logits


class TorchTask:
    """A PyTorch model, its optimizer and its loss on one worker.

    The model is called with the features by name if `forward` has parameters of their names, else with a dict.

    Parameters
    ----------
    model : torch.nn.Module
    optimizer : torch.optim.Optimizer
    loss : callable
        Of the predictions and the label (the labels as a dict, if there are several), to the mean over rows.
    comm : Comm
    schedule : callable, optional
        Makes the scheduler of the optimizer's learning rate, which is stepped after every batch.
    bf16 : bool, default False
        Compute forward and backward in bfloat16 where PyTorch finds it safe; weights stay float32.
    outputs : {"probabilities", "logits"}, optional
        What the model gives, if its loss does not say.
    """

    integers = "int64"

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: Any,
        loss: Callable[..., Any],
        comm: Comm,
        *,
        schedule: Callable[[], Any] | None = None,
        bf16: bool = False,
        outputs: Scale | None = None,
    ) -> None:
        self.model = model
        self._optimizer = optimizer
        self._loss = loss
        self._comm = comm
        self._bf16 = bf16
        self._outputs = outputs
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._features: list[str] = []
        self._labels: list[str] = []
        self._as_dict = False
        if not self._weights:
            raise InvalidInputError("the PyTorch model has no weight to train")
        groups = optimizer.param_groups
        self._settings = [{k: copy.deepcopy(v) for k, v in group.items() if k != "params"} for group in groups]
        self._steps = 0
        self._counted = 0  # of these by the scheduler, which may be behind
        self._rates: dict[int, float] = {}  # of groups, as they were loaded
        self._schedule = schedule
        self._scheduler = None if schedule is None else _scheduler_of(schedule, optimizer)

    def wanted(self) -> list[Wanted] | None:
        """PyTorch models say nothing of their inputs."""
        return None

    def build(self, features: Sequence[Field], labels: Sequence[Field], first: Batch) -> None:
        """Find out how the model takes these features."""
        if self._comm.world > 1 and _is_sum(self._loss):
            refuse_sum()
        self._take(features, labels)

    def _take(self, features: Sequence[Field], labels: Sequence[Field]) -> None:
        self._features = [field.name for field in features]
        self._labels = [field.name for field in labels]
        self._as_dict = _takes_dict(self.model, self._features)

    def build_for_predict(self, features: Sequence[Field], first: Mapping[str, Array]) -> None:
        """As `build`, without labels."""
        self._take(features, ())

    @property
    def learning_rate(self) -> float:
        """Of the first group of weights."""
        return float(self._optimizer.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        if value != self.learning_rate:
            for group in self._optimizer.param_groups:
                group["lr"] = value

    @property
    def is_binary(self) -> bool:
        """Whether the loss takes labels 0 and 1."""
        return _scale_of(self._loss) is not None

    @property
    def scale(self) -> Scale | None:
        """What the model gives, as its loss takes it or as was said; None if nobody knows."""
        return _scale_of(self._loss) or self._outputs

    @property
    def loss_name(self) -> str:
        """For error texts."""
        return str(getattr(self._loss, "__name__", type(self._loss).__name__))

    @property
    def needs_labels(self) -> bool:
        """A loss may do without: it then gets an empty dict."""
        return False

    def logits(self, predictions: Array) -> Array:
        """Of predictions of shape (n,)."""
        return as_logits(predictions, self.scale)

    def begin_training(self) -> None:
        """Called before a training: let the schedule count up to the step that was loaded, which only training needs.

        It counts from the settings that the optimizer was made with; rates that were loaded are those of the next step.

        Raises
        ------
        InvalidInputError
            If the schedule ends before.
        """
        if self._schedule is None or self._counted == self._steps:
            return
        for group, settings in zip(self._optimizer.param_groups, self._settings, strict=True):
            weights = group["params"]
            group.clear()
            group.update(copy.deepcopy(settings), params=weights)
        self._scheduler, self._counted = _scheduler_of(self._schedule, self._optimizer), 0
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Detected call of `lr_scheduler.step", UserWarning
            )  # the steps were taken
            while self._counted < self._steps:
                self._step_schedule()
        for number, rate in self._rates.items():
            self._optimizer.param_groups[number]["lr"] = rate

    def begin(self, seed: Sequence[int]) -> None:
        """Called before every step: what is drawn in it depends on the step alone, so a run can go on from any."""
        torch.manual_seed(int(np.random.SeedSequence([*seed, self._comm.rank]).generate_state(1)[0]))

    def train(self, batch: Batch) -> tuple[float, Array]:
        """One step with all workers; the mean loss of the rows here and their predictions before the step."""
        self.model.train()
        self._optimizer.zero_grad(set_to_none=True)
        loss, predictions = torch.zeros(()), torch.zeros(0)
        if batch.factor:  # else the row stands in for none: only what the others found is taken
            loss, predictions = self._measure(batch)
            (loss * batch.factor).backward()
        if self._comm.world > 1:
            self._add_up()
        self._optimizer.step()
        self._steps += 1
        if self._scheduler is not None:
            self._step_schedule()
        return float(loss.detach()), _numpy(predictions)

    def score(self, batch: Batch) -> tuple[float, Array]:
        """The mean loss and the predictions, without learning."""
        self.model.eval()
        with torch.inference_mode():
            loss, predictions = self._measure(batch)
        return float(loss), _numpy(predictions)

    def predict(self, inputs: Mapping[str, Array]) -> Array:
        """The model's answers, of shape (n, …)."""
        self.model.eval()
        with torch.inference_mode(), self._precision():
            return _numpy(self._call({name: _tensor(inputs[name]) for name in self._features}))

    def state(self) -> dict[str, Array]:
        """All weights and the optimizer's, by name; copies."""
        found = {name: _copy(value) for name, value in self.model.state_dict().items()}
        optimizer = self._optimizer.state_dict()
        for number, values in optimizer["state"].items():
            for name, value in values.items():
                if value is not None:
                    found[f"{_OPTIMIZER}{number}/{name}"] = _copy(torch.as_tensor(value))
        for number, group in enumerate(optimizer["param_groups"]):
            found[f"{_SETTING}{number}/lr"] = np.array(float(group["lr"]))
        found[_STEPS] = np.array(self._steps)
        return found

    def load(self, state: Mapping[str, Array]) -> None:
        """Put weights in; the optimizer starts anew if there are none of it.

        Raises
        ------
        InvalidInputError
            If names or shapes are not those of this model.
        """
        own = self.model.state_dict()
        given = {name: value for name, value in state.items() if not name.startswith(_OPTIMIZER)}
        _check_names(given, {name: tuple(value.shape) for name, value in own.items()})
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(torch.from_numpy(np.array(given[name])))
        self._steps = int(state.get(_STEPS, 0))
        self._rates = {_number(name, _SETTING): float(state[name]) for name in state if name.startswith(_SETTING)}
        optimizer = self._optimizer.state_dict()
        for number, rate in self._rates.items():
            optimizer["param_groups"][number]["lr"] = rate
        moments: dict[int, dict[str, Any]] = {}
        for name, value in state.items():
            if name.startswith(_OPTIMIZER) and not name.startswith((_SETTING, _STEPS)):
                part = name.removeprefix(_OPTIMIZER).split("/", 1)[1]
                moments.setdefault(_number(name, _OPTIMIZER), {})[part] = torch.from_numpy(np.array(value))
        self._optimizer.load_state_dict({"state": moments, "param_groups": optimizer["param_groups"]})

    def _step_schedule(self) -> None:
        assert self._scheduler is not None
        try:
            self._scheduler.step()
        except ValueError as error:  # as of one that ends
            raise InvalidInputError(
                f"the scheduler cannot go on to step {self._counted + 1}: {error}; it counts the steps of every fit, "
                "those before save and load too"
            ) from error
        self._counted += 1

    def share_buffers(self) -> None:
        """Give all workers the mean of what they measured apart, such as the moments of batch normalisations."""
        if self._comm.world == 1:
            return
        for counted in (buffer for buffer in self.model.buffers() if not buffer.is_floating_point()):
            counted.copy_(torch.as_tensor(self._comm.same(_copy(counted))))
        apart = [buffer for buffer in self.model.buffers() if buffer.is_floating_point()]
        differ = differing(self._comm, [_copy(buffer.to(_wide(buffer.dtype))) for buffer in apart])
        apart = [buffer for buffer, other in zip(apart, differ, strict=True) if other]
        values = sum_all(self._comm, [_copy(buffer.to(_wide(buffer.dtype))) for buffer in apart])
        for buffer, value in zip(apart, values, strict=True):
            buffer.copy_(torch.as_tensor(np.asarray(value / self._comm.world)))  # NumPy makes a number of a scalar

    def reset_metrics(self) -> None:
        """There are none of PyTorch's own."""

    def metric_state(self) -> list[Array]:
        """There are none of PyTorch's own."""
        return []

    def set_metric_state(self, state: Sequence[Array]) -> None:
        """There are none of PyTorch's own."""

    def metrics(self) -> dict[str, float]:
        """There are none of PyTorch's own."""
        return {}

    @contextlib.contextmanager
    def _precision(self) -> Iterator[None]:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._bf16):
            yield

    def _measure(self, batch: Batch) -> tuple[Any, Any]:
        inputs = {name: _tensor(batch.inputs[name]) for name in self._features}
        labels = {name: _tensor(batch.labels[name]) for name in self._labels}
        versions = {name: tensor._version for name, tensor in inputs.items()} if self.model.training else {}
        with self._precision():
            predictions = self._call(inputs)
        for name, version in versions.items():
            if inputs[name]._version != version:
                raise InvalidInputError(f"the model changed its input '{name}' in place; let it work on a copy")
        predictions = predictions.float() if torch.is_tensor(predictions) else predictions
        if len(labels) != 1:
            return self._loss(predictions, labels), predictions
        (label,) = labels.values()
        if label.shape != predictions.shape and label.numel() == predictions.numel():
            label = label.reshape(predictions.shape)
        return self._loss(predictions, label), predictions

    def _call(self, inputs: dict[str, Any]) -> Any:
        return self.model(dict(inputs)) if self._as_dict else self.model(**inputs)

    def _add_up(self) -> None:
        """Sum the gradients over the workers; of embeddings with ``sparse=True`` only the touched rows are sent.

        A weight that the rows of one worker did not use has no gradient there and may have one elsewhere.
        """
        kinds = np.array([[g is not None, g is not None and g.is_sparse] for g in self._gradients()], np.int64)
        kinds = self._comm.sum(kinds)
        pairs = list(zip(self._weights, kinds, strict=True))
        whole = [weight for weight, (users, sparse) in pairs if users and not sparse]
        touched = [weight for weight, (_, sparse) in pairs if sparse]
        sums = sum_all(self._comm, [(w.grad if w.grad is not None else torch.zeros_like(w)).numpy() for w in whole])
        for weight, value in zip(whole, sums, strict=True):
            weight.grad = torch.from_numpy(value)
        rows = self._comm.gather_rows([_rows(weight) for weight in touched])
        for weight, (numbers, values) in zip(touched, rows, strict=True):
            index = torch.from_numpy(numbers)[None]
            weight.grad = torch.sparse_coo_tensor(index, torch.from_numpy(values), weight.shape).coalesce()

    def _gradients(self) -> list[Any]:
        return [weight.grad for weight in self._weights]


def _scheduler_of(schedule: Callable[[], Any], optimizer: Any) -> Any:
    """What the caller's function makes, if it can be stepped after every batch."""
    scheduler = schedule()
    kinds = torch.optim.lr_scheduler
    if isinstance(scheduler, kinds.ReduceLROnPlateau):
        raise InvalidInputError(
            "scheduler returned a ReduceLROnPlateau, which follows a metric and not the step; lower the rate by a "
            "callback at the end of an epoch, or return another scheduler"
        )
    if not isinstance(scheduler, kinds.LRScheduler):
        raise InvalidInputError(f"scheduler returned a {type(scheduler).__name__}; it must return an LRScheduler")
    if scheduler.optimizer is not optimizer:
        raise InvalidInputError("scheduler returned one of another optimizer; use the one that it is called with")
    return scheduler


def _number(name: str, prefix: str) -> int:
    """Of the group or the weight that a value of the optimizer's state is of."""
    return int(name.removeprefix(prefix).split("/")[0])


def _scale_of(loss: Any) -> Scale | None:
    """What a binary loss takes; None for all other losses."""
    if isinstance(loss, functools.partial):
        loss = loss.func
    if isinstance(loss, torch.nn.BCELoss) or loss is F.binary_cross_entropy:
        return "probabilities"
    return "logits" if isinstance(loss, torch.nn.BCEWithLogitsLoss) or loss is _WITH_LOGITS else None


def _is_sum(loss: Any) -> bool:
    given = getattr(loss, "keywords", {})  # of a functools.partial
    return "sum" in (getattr(loss, "reduction", None), given.get("reduction"))


def _rows(weight: Any) -> tuple[Array, Array]:
    """Row numbers and gradients of a weight, each row once."""
    if weight.grad is None:
        return np.zeros(0, np.int64), torch.zeros((0, *weight.shape[1:]), dtype=weight.dtype).numpy()
    part = weight.grad.coalesce()
    return part.indices()[0].numpy(), part.values().numpy()


def _takes_dict(model: Any, names: Sequence[str]) -> bool:
    parameters = inspect.signature(model.forward).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return False
    known = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
    needed = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    if set(needed) <= set(names) <= set(known):
        return False
    if len(needed) == 1:
        return True
    missing = sorted(set(needed) - set(names)) or sorted(set(names) - set(known))
    raise InvalidInputError(
        f"the model's forward({', '.join(known)}) does not take the features {', '.join(names)}: '{missing[0]}' is in "
        "one only; name its parameters as the features, or let it take one dict"
    )


def _tensor(values: Array) -> Any:
    return torch.from_numpy(np.ascontiguousarray(values))


def _wide(dtype: torch.dtype) -> torch.dtype:
    """What numbers of a type are added up in: at least float32."""
    return torch.promote_types(dtype, torch.float32)


def _copy(value: Any) -> Array:
    copied: Array = value.detach().cpu().numpy().copy()
    return copied


def _numpy(predictions: Any) -> Array:
    if not torch.is_tensor(predictions):
        raise InvalidInputError("the model has several outputs; give one that is to be predicted")
    values: Array = predictions.detach().float().numpy()
    return values


def _check_names(given: Mapping[str, Array], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse weights that are not of this model."""
    for name in wanted:
        if name not in given:
            raise InvalidInputError(f"the weights lack '{name}'; they are of another model, of {list(given)[:5]}")
    for name, value in given.items():
        if name not in wanted:
            raise InvalidInputError(f"the weights have '{name}', which this model has not; they are of another model")
        if tuple(value.shape) != wanted[name]:
            raise InvalidInputError(f"weight '{name}' has shape {value.shape}, the model's has {wanted[name]}")
