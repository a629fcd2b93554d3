"""A Keras model as the training loop sees it: steps on NumPy batches, gradients to add up, weights by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from friesian_fast.errors import InvalidInputError
from friesian_fast.train.adam import LazyAdam
from friesian_fast.train.comm import Array, Comm, differing, refuse_sum, sum_all
from friesian_fast.train.fields import Field, Wanted
from friesian_fast.train.input import Batch
from friesian_fast.train.keras_feed import Feed, input_tensors
from friesian_fast.train.keras_step import KerasStep, measure
from friesian_fast.train.scores import Scale, as_logits

_OPTIMIZER = "optimizer/"
_RATE = "optimizer/rate"  # which a callback may have set
_RANK_SEEDS = 1_000_003  # between the dropout seeds of two workers


class KerasTask:
    """A compiled Keras model on one worker.

    Parameters
    ----------
    model : keras.Model
        Compiled.
    comm : Comm
    lazy_embeddings : bool, default True
        Update only the touched rows of large embedding tables, if the optimizer is Adam as it comes.
    outputs : {"probabilities", "logits"}, optional
        What the model gives, if its loss does not say.
    """

    integers = "int32"

    def __init__(
        self, model: keras.Model, comm: Comm, *, lazy_embeddings: bool = True, outputs: Scale | None = None
    ) -> None:
        if not isinstance(model, keras.Model):
            raise InvalidInputError(f"from_keras got a {type(model).__name__}; give a Keras model, or what makes one")
        if getattr(model, "optimizer", None) is None:
            raise InvalidInputError("the Keras model is not compiled; call model.compile(optimizer, loss, metrics)")
        self.model = model
        self._comm = comm
        self._outputs = outputs
        self._lazy = lazy_embeddings and _is_plain_adam(model.optimizer)
        self._schedule = _schedule_of(model.optimizer) if self._lazy else None
        self._optimizer: Any = None
        self._kept: list[Array] = []  # of an optimizer that is not made yet
        self._feed: Feed | None = None
        self._train: KerasStep | None = None
        self._built_for: list[Field] = []

    def wanted(self) -> list[Wanted] | None:
        """What the model says of its inputs; None if it is of a class of its own."""
        return input_tensors(self.model)

    def build(self, features: Sequence[Field], labels: Sequence[Field], first: Batch) -> None:
        """Make the weights and compile the steps for batches like `first`."""
        if self._train is not None and self._built_for == [*features, *labels]:
            return
        if self._comm.world > 1 and any(_is_sum(loss) for loss in tf.nest.flatten(getattr(self.model, "loss", None))):
            refuse_sum()
        self._built_for = [*features, *labels]
        self._feed = Feed(self.model, features, labels)
        # Losses and metrics make their variables when first called, which no compiled step may do.
        measure(self.model, *self._feed.batch(first))
        self.model.reset_metrics()
        weights = self.model.trainable_variables
        if self._optimizer is None:
            own = [weight.value for weight in weights]
            self._optimizer = LazyAdam(own, self.learning_rate) if self._lazy else self.model.optimizer
            if not self._lazy:
                self._optimizer.build(weights)
            self._turn_seeds()
            self._put_optimizer()
        signature = self._feed.signature(first)
        self._train = KerasStep(self.model, self._optimizer, self._comm, signature)
        self._score = tf.function(partial(measure, self.model), input_signature=signature)
        self._predict = self._compiled_predict(signature)

    def build_for_predict(self, features: Sequence[Field], first: Mapping[str, Array]) -> None:
        """Make the weights and compile the model for inputs like `first`; enough for `load` and `predict`."""
        if self._feed is not None:
            return
        self._feed = Feed(self.model, features, ())
        inputs = self._feed.inputs(first)
        self.model(inputs, training=False)
        signature = self._feed.signature(Batch(dict(first), {}, 1.0))
        self._predict = self._compiled_predict(signature)

    def _compiled_predict(self, signature: tuple[Any, Any]) -> Callable[[Any], Any]:
        predict: Callable[[Any], Any] = tf.function(
            lambda x: self.model(x, training=False), input_signature=signature[:1]
        )
        return predict

    @property
    def learning_rate(self) -> float:
        """Of the model's optimizer, at this step."""
        if self._schedule is not None:
            return float(_value(self._schedule(0 if self._optimizer is None else self._optimizer.step)))
        return float(_value(self.model.optimizer.learning_rate))

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        if value != self.learning_rate:
            self.model.optimizer.learning_rate = value
        if self._lazy and self._optimizer is not None:
            self._optimizer.learning_rate.assign(value)

    @property
    def is_binary(self) -> bool:
        """Whether the loss takes labels 0 and 1."""
        return _scale_of(getattr(self.model, "loss", None)) is not None

    @property
    def scale(self) -> Scale | None:
        """What the model gives, as its loss takes it or as was said; None if nobody knows."""
        return _scale_of(getattr(self.model, "loss", None)) or self._outputs

    @property
    def loss_name(self) -> str:
        """For error texts."""
        loss = getattr(self.model, "loss", None)
        return "of the model's own" if loss is None else _name_of(loss)

    @property
    def needs_labels(self) -> bool:
        """Whether the model is compiled with a loss, and has none of its own."""
        return getattr(self.model, "loss", None) is not None

    def logits(self, predictions: Array) -> Array:
        """Of predictions of shape (n,)."""
        return as_logits(predictions, self.scale)

    def train(self, batch: Batch) -> tuple[float, Array]:
        """One step with all workers; the mean loss of the rows here and their predictions before the step."""
        assert self._train is not None
        assert self._feed is not None
        x, y = self._feed.batch(batch)
        # A row that only stands in for none is to leave no trace but in the seeds, which all workers turn alike.
        apart = [] if batch.factor else [*self._measured_apart(), *self._metric_variables(with_loss=True)]
        kept = [_value(variable).copy() for variable in apart]
        if self._schedule is not None:
            self._optimizer.learning_rate.assign(self.learning_rate)
        loss, predictions = self._train(x, y, batch.factor)
        for variable, value in zip(apart, kept, strict=True):
            variable.assign(value)
        return float(loss) if batch.factor else 0.0, _numpy(predictions)

    def score(self, batch: Batch) -> tuple[float, Array]:
        """The mean loss and the predictions, without learning."""
        assert self._feed is not None
        loss, predictions = self._score(*self._feed.batch(batch))
        return float(loss), _numpy(predictions)

    def predict(self, inputs: Mapping[str, Array]) -> Array:
        """The model's answers, of shape (n, …)."""
        assert self._feed is not None
        return _numpy(self._predict(self._feed.inputs(inputs)))

    def begin_training(self) -> None:
        """Called before a training: Keras' schedules are functions of the step and need nothing."""

    def begin(self, seed: Sequence[int]) -> None:
        """Called before every step: Keras' seed generators are weights and need nothing."""

    def state(self) -> dict[str, Array]:
        """All weights and the optimizer's, by name; copies."""
        model = {}
        for number, variable in enumerate(self.model.variables):
            value = _value(variable).copy()
            model[f"{number}/{variable.path}"] = np.asarray(value - self._own_seeds(variable), value.dtype)
        optimizer = self._kept if self._optimizer is None else [_value(v).copy() for v in self._optimizer_variables()]
        rate = {} if _schedule_of(self.model.optimizer) is not None else {_RATE: np.array(self.learning_rate)}
        return {**model, **{f"{_OPTIMIZER}{number}": value for number, value in enumerate(optimizer)}, **rate}

    def load(self, state: Mapping[str, Array]) -> None:
        """Put weights in; the optimizer starts anew if there are none of it.

        An optimizer that is made later, by `build`, gets its own then: a model may predict before it is trained on.

        Raises
        ------
        InvalidInputError
            If there are more or fewer than the model has, or their shapes are others. (Their order counts: the names
            of layers that were given none are numbered by Keras.)
        """
        given = {name: value for name, value in state.items() if not name.startswith(_OPTIMIZER)}
        values = [given[name] for name in sorted(given, key=_place)]
        variables = self.model.variables
        if len(values) != len(variables):
            raise InvalidInputError(
                f"there are {len(values)} weights and the model has {len(variables)}: it is another"
            )
        for variable, value in zip(variables, values, strict=True):
            if value.shape != tuple(variable.shape):
                raise InvalidInputError(
                    f"a weight has shape {value.shape} and the model's '{variable.path}' has {tuple(variable.shape)}: "
                    "it is another model"
                )
            variable.assign(np.asarray(value + self._own_seeds(variable), value.dtype))
        kept = sum(name.startswith(_OPTIMIZER) and name != _RATE for name in state)
        self._kept = [state[f"{_OPTIMIZER}{number}"] for number in range(kept)]
        if self._optimizer is not None:
            self._put_optimizer()
        if _RATE in state:
            self.learning_rate = float(state[_RATE])

    def _put_optimizer(self) -> None:
        """Hand the kept state to the optimizer, if it is of one like this."""
        kept, self._kept = self._kept, []
        own = self._optimizer_variables()
        if len(kept) != len(own) or any(k.shape != tuple(o.shape) for k, o in zip(kept, own, strict=True)):
            return
        for variable, value in zip(own, kept, strict=True):
            variable.assign(value)

    def share_buffers(self) -> None:
        """Give all workers the mean of what they measured apart, such as the moments of batch normalisations."""
        if self._comm.world == 1:
            return
        apart = self._measured_apart()
        differ = differing(self._comm, [_value(v) for v in apart])
        apart = [v for v, other in zip(apart, differ, strict=True) if other]
        values = sum_all(self._comm, [_widened(_value(v)) for v in apart])
        for variable, value in zip(apart, values, strict=True):
            variable.assign(value / self._comm.world)

    def reset_metrics(self) -> None:
        """Start counting the metrics that the model was compiled with."""
        self.model.reset_metrics()

    def metric_state(self) -> list[Array]:
        """What those metrics have counted; sums, so those of all workers add up."""
        return [_value(variable).copy() for variable in self._metric_variables()]

    def set_metric_state(self, state: Sequence[Array]) -> None:
        """Go on counting from there."""
        for variable, value in zip(self._metric_variables(), state, strict=True):
            variable.assign(value)

    def metrics(self) -> dict[str, float]:
        """Those metrics over all workers."""
        if self._comm.world > 1:
            self.set_metric_state([self._comm.sum(value) for value in self.metric_state()])
        with self._comm.doing("computing the model's own metrics"):
            found = self.model.get_metrics_result() if self._metric_variables() else {}
        self._comm.meet()
        return {name: float(value) for name, value in found.items() if name != "loss"}

    def _measured_apart(self) -> list[Any]:
        """Weights that each worker's own rows set, such as the moments of batch normalisations."""
        return [v for v in self.model.non_trainable_variables if str(v.dtype).startswith(("float", "bfloat"))]

    def _metric_variables(self, *, with_loss: bool = False) -> list[Any]:
        return [v for metric in self.model.metrics if with_loss or metric.name != "loss" for v in metric.variables]

    def _turn_seeds(self) -> None:
        for variable in self.model.variables:
            if not isinstance(add := self._own_seeds(variable), int):
                variable.assign(_value(variable) + add)

    def _own_seeds(self, variable: Any) -> Any:
        """Workers drop out other units: what a worker adds to a generator's seed; 0 to everything else."""
        if not variable.path.endswith("seed_generator_state"):
            return 0
        return np.array([self._comm.rank * _RANK_SEEDS, 0], str(variable.dtype))

    def _optimizer_variables(self) -> list[Any]:
        """All but the learning rate, which is told apart: who loads moments may want another."""
        if self._optimizer is None:
            return []
        rate = getattr(self._optimizer, "_learning_rate", None)
        return [variable for variable in self._optimizer.variables if variable is not rate]


def _is_plain_adam(optimizer: Any) -> bool:
    """Whether this is Adam with nothing that `LazyAdam` has not: no decay, clipping, averages, accumulation."""
    config = optimizer.get_config()
    clipping = ("clipnorm", "global_clipnorm", "clipvalue")
    extra = (*clipping, "weight_decay", "use_ema", "loss_scale_factor", "gradient_accumulation_steps", "amsgrad")
    standard = (config.get("beta_1"), config.get("beta_2"), config.get("epsilon")) == (0.9, 0.999, 1e-7)
    return type(optimizer) is keras.optimizers.Adam and standard and not any(config.get(e) for e in extra)


def _schedule_of(optimizer: Any) -> Any:
    """What sets the learning rate of each step; None if it is a number."""
    rate = getattr(optimizer, "_learning_rate", None)  # `learning_rate` is the number of this step
    return rate if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) else None


def _scale_of(loss: Any) -> Scale | None:
    """What a binary loss takes; None for all other losses."""
    if isinstance(loss, str):
        binary = loss in ("binary_crossentropy", "bce", "binary_focal_crossentropy")
    elif isinstance(loss, (keras.losses.BinaryCrossentropy, keras.losses.BinaryFocalCrossentropy)):
        return "logits" if loss.from_logits else "probabilities"
    else:
        binary = loss in (keras.losses.binary_crossentropy, keras.losses.binary_focal_crossentropy)
    return "probabilities" if binary else None


def _name_of(loss: Any) -> str:
    return str(loss if isinstance(loss, str) else getattr(loss, "name", None) or getattr(loss, "__name__", repr(loss)))


def _is_sum(loss: Any) -> bool:
    return getattr(loss, "reduction", None) == "sum"


def _value(variable: Any) -> Array:
    """Of a variable of Keras or TensorFlow, or of a tensor; not always a copy."""
    value: Array = np.asarray((variable.value if isinstance(variable, keras.Variable) else variable).numpy())
    return value


def _widened(values: Array) -> Array:
    """In what numbers are added up: at least float32."""
    return values.astype(np.promote_types(values.dtype, np.float32))


def _place(name: str) -> int:
    return int(name.split("/", 1)[0])


def _numpy(predictions: Any) -> Array:
    if isinstance(predictions, (list, tuple, dict)):
        raise InvalidInputError("the model has several outputs; give one that is to be predicted")
    values: Array = keras.ops.convert_to_numpy(keras.ops.cast(predictions, "float32"))
    return values
