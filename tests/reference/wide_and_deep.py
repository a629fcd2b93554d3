"""Wide & Deep, one row at a time, with every category spelled out as a one-hot vector."""

import numpy as np


def one_hot(value, size):
    vector = np.zeros(size)
    vector[value] = 1
    return vector


def score(weights, inputs, row):
    """The score of one row: a dict of column → value."""
    linear = sum(
        one_hot(row[f.name], f.size) @ weights[f"wide_{f.name}"][0][:, 0] for f in [*inputs.wide, *inputs.cross]
    )
    parts = [one_hot(row[f.name], f.size) for f in inputs.indicator]
    parts += [one_hot(row[f.name], f.size) @ weights[f"embed_{f.name}"][0] for f in inputs.embedding]
    parts += [[row[name]] for name in inputs.continuous]
    hidden = np.concatenate(parts)
    number = 1
    while f"dense_{number}" in weights:
        kernel, bias = weights[f"dense_{number}"]
        gamma, beta, mean, variance = weights[f"batch_norm_{number}"]
        hidden = ((hidden @ kernel + bias) - mean) / np.sqrt(variance + 1e-3) * gamma + beta
        hidden = np.maximum(hidden, 0)
        number += 1
    kernel, bias = weights["deep"]
    logit = hidden @ kernel[:, 0] + bias[0] + linear
    return 1 / (1 + np.exp(-logit))
