"""Metrics of lists and predictions from their definitions, user by user and pair by pair."""

import math

import numpy as np


def top_list(scored, k):
    """`scored` maps item to score."""
    return sorted(scored, key=lambda item: (-scored[item], item))[:k]


def recall(ranked, relevant, k):
    return len(set(ranked[:k]) & relevant) / len(relevant)


def precision(ranked, relevant, k):
    return len(set(ranked[:k]) & relevant) / k


def ndcg(ranked, relevant, k):
    gain = sum(1 / math.log2(place + 1) for place, item in enumerate(ranked[:k], 1) if item in relevant)
    return gain / sum(1 / math.log2(place + 1) for place in range(1, min(k, len(relevant)) + 1))


def average_precision(ranked, relevant, k):
    places = [place for place, item in enumerate(ranked[:k], 1) if item in relevant]
    return sum(precision(ranked, relevant, place) for place in places) / len(relevant)


def reciprocal_rank(ranked, relevant, k):
    return max((1 / place for place, item in enumerate(ranked[:k], 1) if item in relevant), default=0.0)


def hit_rate(ranked, relevant, k):
    return float(bool(set(ranked[:k]) & relevant))


METRICS = {
    "recall": recall,
    "precision": precision,
    "ndcg": ndcg,
    "map": average_precision,
    "mrr": reciprocal_rank,
    "hit_rate": hit_rate,
}


def diversity(ranked, vectors):
    def cosine(a, b):
        lengths = np.linalg.norm(a) * np.linalg.norm(b)
        return a @ b / lengths if lengths else 0.0

    pairs = [(a, b) for at, a in enumerate(ranked) for b in ranked[at + 1 :]]
    return float(np.mean([1 - cosine(vectors[a], vectors[b]) for a, b in pairs]))


def gini(counts):
    """Half the mean absolute difference of all pairs, relative to the mean."""
    return float(np.mean([abs(a - b) for a in counts for b in counts]) / 2 / np.mean(counts))


def auc_of_drawn_users(labels, scores, users, drawn):
    rows = np.concatenate([np.flatnonzero(users == user) for user in drawn])
    positives, negatives = scores[rows][labels[rows] == 1], scores[rows][labels[rows] == 0]
    won = sum((p > n) + 0.5 * (p == n) for p in positives for n in negatives)
    return won / (len(positives) * len(negatives))
