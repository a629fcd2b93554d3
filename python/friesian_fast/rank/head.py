"""The head of a request: the rows that an answer can show, scored with more bits than the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Rows at least, for ten that are shown: the ten best of fp32 are among the twelve best of bf16 or int8, in the
# walkthrough.
LEAST_HEAD = 16


def head_rows(shown: int | None, rows: int, least: int = LEAST_HEAD) -> int:
    """How many rows are the head: 8/5 of what will be looked at, all if that is not said."""
    return rows if shown is None else min(rows, max(least, shown * 8 // 5))


def put_first(scores: NDArray[np.float32], head: NDArray[Any], exact: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the head its exact scores, in place; the rest keeps its own, cut off below the least of the head.

    Parameters
    ----------
    scores : array of float32, shape (n,)
        Of all rows.
    head : array of int, shape (h,)
        Positions.
    exact : array of float32, shape (h,)

    Returns
    -------
    array of float32, shape (n,)
        `scores`.
    """
    below = np.nextafter(exact.min(), np.float32(-np.inf))  # as high as one that is shown, it could stand before it
    np.minimum(scores, below, out=scores)
    scores[head] = exact
    return scores
