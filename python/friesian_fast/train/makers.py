"""Make the model on the worker that trains it: what is sent there is how to make it, not the model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from friesian_fast.errors import InvalidInputError
from friesian_fast.train.comm import Comm
from friesian_fast.train.runtime import use_cores
from friesian_fast.train.scores import Scale

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KerasMaker:
    """A Keras model of a function, or of an archive.

    Parameters
    ----------
    creator : callable or None
        Takes the config, or nothing; returns a compiled model.
    archive : bytes or None
        What ``model.save`` wrote, instead of a function.
    config : mapping
    seed : int
    precision : {"fp32", "bf16"}
    lazy_embeddings : bool
    outputs : {"probabilities", "logits"} or None
    cores : int
        Threads of TensorFlow.
    """

    creator: Callable[..., Any] | None = None
    archive: bytes | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    precision: Precision = "fp32"
    lazy_embeddings: bool = True
    outputs: Scale | None = None
    cores: int = 1

    def __call__(self, comm: Comm) -> Any:
        use_cores(self.cores)
        import keras

        from friesian_fast.train.keras_task import KerasTask

        keras.utils.set_random_seed(self.seed)
        before = keras.mixed_precision.dtype_policy()
        keras.mixed_precision.set_dtype_policy("mixed_bfloat16" if self.precision == "bf16" else before)
        try:
            model = self._load() if self.creator is None else called(self.creator, self.config)
        finally:
            keras.mixed_precision.set_dtype_policy(before)
        return KerasTask(model, comm, lazy_embeddings=self.lazy_embeddings, outputs=self.outputs)

    def _load(self) -> Any:
        import tempfile

        import keras

        assert self.archive is not None
        with tempfile.TemporaryDirectory(prefix="friesian-") as directory:
            path = Path(directory) / "model.keras"
            path.write_bytes(self.archive)
            return keras.models.load_model(path, safe_mode=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchMaker:
    """A PyTorch model with its optimizer and loss.

    Parameters
    ----------
    creator : callable
        Takes the config, or nothing; returns a `torch.nn.Module`.
    optimizer : callable
        Takes the model and the config, or the model; returns a `torch.optim.Optimizer`.
    loss : callable
        A loss module, a class of them, or a function of predictions and labels.
    scheduler : callable or None
        Takes the optimizer and the config, or the optimizer; returns a `torch.optim.lr_scheduler.LRScheduler`.
    config : mapping
    seed : int
    precision : {"fp32", "bf16"}
    outputs : {"probabilities", "logits"} or None
    cores : int or None
        Threads of PyTorch, of one worker; None leaves those there are.
    """

    creator: Callable[..., Any]
    optimizer: Callable[..., Any]
    loss: Any
    scheduler: Callable[..., Any] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    precision: Precision = "fp32"
    outputs: Scale | None = None
    cores: int | None = None

    def __call__(self, comm: Comm) -> Any:
        import torch

        from friesian_fast.train.torch_task import TorchTask

        torch.manual_seed(self.seed)
        model = called(self.creator, self.config)
        if not isinstance(model, torch.nn.Module):
            raise InvalidInputError(f"model_creator returned a {type(model).__name__}; it must return a torch Module")
        optimizer = called(self.optimizer, model, self.config)
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise InvalidInputError(f"optimizer returned a {type(optimizer).__name__}; it must return an Optimizer")
        loss: Any = self.loss() if inspect.isclass(self.loss) else self.loss
        schedule = None if self.scheduler is None else partial(self._schedule, optimizer)
        bf16 = self.precision == "bf16"
        return TorchTask(model, optimizer, loss, comm, schedule=schedule, bf16=bf16, outputs=self.outputs)

    def _schedule(self, optimizer: Any) -> Any:
        scheduler: Any = self.scheduler
        is_class = inspect.isclass(scheduler)  # whose second argument is none of ours
        return scheduler(optimizer) if is_class else called(scheduler, optimizer, self.config)


def called(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call with all arguments, or without the last (the config) if the function has no parameter for it.

    That is one named `config`, or the next one; but if that has a default, it is a setting of the function's own.
    """
    *given, config = arguments
    signature = inspect.signature(function)
    named = signature.parameters.get("config")
    if named is not None and named.kind is named.POSITIONAL_OR_KEYWORD:
        return function(*given, config=config)
    try:
        bound = signature.bind(*arguments).arguments
    except TypeError:
        return function(*given)
    last = signature.parameters[list(bound)[-1]]
    return function(*(arguments if last.default is last.empty else given))
