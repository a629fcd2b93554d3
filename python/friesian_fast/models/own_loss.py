"""Models that bring their own loss, such as those of TensorFlow Recommenders."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from friesian_fast.errors import InvalidInputError


class TFRSModel(keras.Model):  # type: ignore[misc]
    """Trains a model by the loss that it computes itself.

    The mean of that loss over rows is minimised: a model whose tasks add losses up over the rows of a batch has to use
    a mean, or no reduction, in them; a vector of one loss a row is averaged here. What its layers' regularizers ask
    for is added here: its own loss leaves `losses` out.

    Parameters
    ----------
    tfrs_model : keras.Model
        Has ``compute_loss(inputs, training)``: `inputs` is the dict of features, or the pair of it and the label (a
        dict of several) if there is one. Compile this model with an optimizer alone.
    """

    def __init__(self, tfrs_model: keras.Model) -> None:
        super().__init__(name="own_loss")
        if not isinstance(tfrs_model, keras.Model) or type(tfrs_model).compute_loss is keras.Model.compute_loss:
            raise InvalidInputError(
                f"TFRSModel got a {type(tfrs_model).__name__}, which has no compute_loss of its own; "
                "train such a model as it is"
            )
        self.inner = tfrs_model

    def call(self, inputs: Any, training: bool = False) -> Any:
        """What the model gives; zeros, shape (n,), if it only has a loss."""
        if type(self.inner).call is keras.Model.call:
            return ops.zeros((ops.shape(next(iter(inputs.values())))[0],))
        return self.inner(inputs, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The model's own, as a mean over rows, and those of its regularizers."""
        loss = self.inner.compute_loss(x if y is None else (x, y), training=training)
        return ops.mean(ops.cast(loss, "float32")) + sum(ops.cast(other, "float32") for other in self.losses)
