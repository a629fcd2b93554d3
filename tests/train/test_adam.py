"""LazyAdam is Adam, but for rows of large tables that a batch does not touch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from friesian_fast.train import adam
from friesian_fast.train.adam import LazyAdam

RATE = 0.01


def steps(gradients, start):
    variable = tf.Variable(start)
    optimizer = LazyAdam([variable], RATE)
    for gradient in gradients:
        optimizer.apply([gradient])
    return variable.numpy()


def test_dense_weights_get_keras_adam():
    rng = np.random.default_rng(0)
    start = rng.standard_normal((4, 3)).astype(np.float32)
    gradients = [rng.standard_normal((4, 3)).astype(np.float32) for _ in range(5)]
    expected = keras.Variable(start)
    optimizer = keras.optimizers.Adam(RATE)
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient)], [expected])
    np.testing.assert_allclose(steps(gradients, start), expected.numpy(), atol=1e-6)


def slices(rows, values):
    return tf.IndexedSlices(tf.constant(values, tf.float32), tf.constant(rows), dense_shape=[6, 2])


def test_a_small_table_gets_the_same_from_slices():
    start = np.ones((6, 2), dtype=np.float32)
    sparse = steps([slices([1, 4, 1], [[1, 2], [3, 4], [5, 6]])] * 3, start)
    dense = np.zeros((6, 2), dtype=np.float32)
    dense[1], dense[4] = [6, 8], [3, 4]
    np.testing.assert_allclose(sparse, steps([dense] * 3, start), atol=1e-7)


def test_untouched_rows_of_a_large_table_stay(monkeypatch):
    monkeypatch.setattr(adam, "DENSE_ROWS", 5)
    start = np.ones((6, 2), dtype=np.float32)
    gradients = [slices([1, 4, 1], [[1, 2], [3, 4], [5, 6]]), slices([4], [[1, -1]])]
    table = steps(gradients, start)
    expected = start.copy()
    mean, square = np.zeros((6, 2)), np.zeros((6, 2))
    for step, batch in enumerate([{1: [6, 8], 4: [3, 4]}, {4: [1, -1]}], start=1):
        for row, gradient in batch.items():
            mean[row] = 0.9 * mean[row] + 0.1 * np.array(gradient)
            square[row] = 0.999 * square[row] + 0.001 * np.array(gradient) ** 2
            rate = RATE * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            expected[row] -= rate * mean[row] / (np.sqrt(square[row]) + 1e-7)
    np.testing.assert_allclose(table, expected, atol=1e-5)
    np.testing.assert_array_equal(table[[0, 2, 3, 5]], 1)


def test_one_gradient_for_each_variable():
    with pytest.raises(ValueError, match="zip"):
        LazyAdam([tf.Variable([1.0]), tf.Variable([1.0])], RATE).apply([tf.constant([1.0])])
