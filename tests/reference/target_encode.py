"""Target encoding, slowly: every sum over again for every row, in exact fractions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

Key = tuple[object, ...]


def mean_of(targets: Sequence[float | None]) -> float:
    known = [Fraction(y) for y in targets if y is not None and not math.isnan(y)]
    return float(sum(known) / len(known))


def code(keys: Sequence[Key], targets: Sequence[float | None], key: Key, mean: float, smooth: float) -> float:
    """What a category has over these rows; the mean if none of them is of it."""
    rows = [y for other, y in zip(keys, targets, strict=True) if other == key]
    if not rows or None in key:
        return mean
    total = sum(Fraction(y) for y in rows if y is not None and not math.isnan(y))
    return float((total + Fraction(mean) * Fraction(smooth)) / (len(rows) + Fraction(smooth)))


def out_of_fold(
    keys: Sequence[Key], targets: Sequence[float | None], folds: Sequence[int | None], mean: float, smooth: float
) -> list[float]:
    """For every row the code of its category over the rows of other folds."""
    result = []
    for key, fold in zip(keys, folds, strict=True):
        others = [i for i, other in enumerate(folds) if other != fold]
        if fold is None:
            result.append(mean)
        else:
            result.append(code([keys[i] for i in others], [targets[i] for i in others], key, mean, smooth))
    return result
