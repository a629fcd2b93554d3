"""Binary metrics from their definitions, pair by pair and row by row."""

import numpy as np


def auc(labels, scores):
    positives = [s for label, s in zip(labels, scores, strict=True) if label]
    negatives = [s for label, s in zip(labels, scores, strict=True) if not label]
    won = sum((p > n) + 0.5 * (p == n) for p in positives for n in negatives)
    return won / (len(positives) * len(negatives))


def cross_entropy(labels, logits):
    chances = 1 / (1 + np.exp(-np.asarray(logits, dtype=np.float64)))
    return float(np.mean([-np.log(c if label else 1 - c) for label, c in zip(labels, chances, strict=True)]))
