"""Adam that leaves the untouched rows of large embedding tables alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

# Up to here a dense update costs less than gathering and scattering rows.
DENSE_ROWS = 10_000


class LazyAdam:
    """Adam (Kingma & Ba, 2015) with lazy moments for large embedding tables.

    Plain Adam rewrites every row of every table at every step, for most rows only to let their moments decay:
    21 million numbers a step in the walkthrough, where a batch touches 77 thousand. Here a table of more than
    `DENSE_ROWS` rows has only the rows of the batch updated, moments included; a row not seen keeps its moments
    and does not move. The bias correction counts steps, not visits. All other weights get plain Adam.

    Parameters
    ----------
    variables : sequence of tf.Variable
        What to train; `apply` takes one gradient for each.
    learning_rate : float
    beta_1, beta_2, epsilon : float
        As in Keras' Adam.
    """

    def __init__(
        self,
        variables: Sequence[Any],
        learning_rate: float,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
    ) -> None:
        self._variables = list(variables)
        self._means = [tf.Variable(tf.zeros_like(variable), trainable=False) for variable in self._variables]
        self._squares = [tf.Variable(tf.zeros_like(variable), trainable=False) for variable in self._variables]
        self._step = tf.Variable(0.0, trainable=False)
        self.learning_rate = tf.Variable(learning_rate, dtype=tf.float32, trainable=False)
        self._beta_1 = beta_1
        self._beta_2 = beta_2
        self._epsilon = epsilon

    @property
    def variables(self) -> list[Any]:
        """The state: what has to be kept, with the weights, to go on later."""
        return [self._step, *self._means, *self._squares]

    @property
    def step(self) -> Any:
        """How many steps were taken."""
        return self._step

    def apply(self, gradients: Sequence[Any], of: Sequence[int] | None = None) -> None:
        """One step; call it in a `tf.function`.

        Parameters
        ----------
        gradients : sequence of tf.Tensor or tf.IndexedSlices
            In the order of the variables.
        of : sequence of int, optional
            Which variables they are of, if not of all.
        """
        self._step.assign_add(1.0)
        power_1, power_2 = self._beta_1**self._step, self._beta_2**self._step
        for at, gradient in zip(range(len(self._variables)) if of is None else of, gradients, strict=True):
            variable, mean, square = self._variables[at], self._means[at], self._squares[at]
            if isinstance(gradient, tf.IndexedSlices) and variable.shape[0] > DENSE_ROWS:
                self._apply_rows(variable, mean, square, gradient, power_1, power_2)
                continue
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=power_1,
                beta2_power=power_2,
                lr=self.learning_rate,
                beta1=self._beta_1,
                beta2=self._beta_2,
                epsilon=self._epsilon,
                grad=tf.convert_to_tensor(gradient),
            )

    def _apply_rows(self, variable: Any, mean: Any, square: Any, gradient: Any, power_1: Any, power_2: Any) -> None:
        rows, position = tf.unique(gradient.indices)
        total = tf.math.unsorted_segment_sum(gradient.values, position, tf.size(rows))
        new_mean = self._beta_1 * tf.gather(mean, rows) + (1 - self._beta_1) * total
        new_square = self._beta_2 * tf.gather(square, rows) + (1 - self._beta_2) * tf.square(total)
        rate = self.learning_rate * tf.sqrt(1 - power_2) / (1 - power_1)
        mean.scatter_update(tf.IndexedSlices(new_mean, rows))
        square.scatter_update(tf.IndexedSlices(new_square, rows))
        variable.scatter_sub(tf.IndexedSlices(rate * new_mean / (tf.sqrt(new_square) + self._epsilon), rows))
