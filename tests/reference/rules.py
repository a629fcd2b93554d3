"""The order after ranking, slowly: boosts, cap, diversity, pins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def diversify(relevance: NDArray[Any], vectors: NDArray[Any], k: int, diversity: float) -> list[int]:
    """Maximal marginal relevance, in double precision."""
    rows = vectors.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    picked: list[int] = []
    while len(picked) < min(k, len(rows)):
        left = [i for i in range(len(rows)) if i not in picked]
        worth = [
            (1 - diversity) * relevance[i] - (diversity * max(unit[i] @ unit[j] for j in picked) if picked else 0)
            for i in left
        ]
        picked.append(left[int(np.argmax(worth))])
    return picked


def capped(order: Sequence[int], values: Sequence[Any], most: int) -> list[int]:
    """At most `most` of one value; None is no value."""
    kept: list[int] = []
    for i in order:
        if values[i] is None or sum(values[j] == values[i] for j in kept) < most:
            kept.append(i)
    return kept


def pinned(order: Sequence[int], places: Mapping[int, int], k: int) -> list[int]:
    """Candidates at their places, from 1, the others in order around them."""
    others = [i for i in order if i not in places][:k]
    for i, place in sorted(places.items(), key=lambda item: item[1]):
        others.insert(place - 1, i)
    return others[:k]
