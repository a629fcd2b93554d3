"""Parting interactions: by time for training and testing, by history for slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class TemporalSplit:
    """Which rows belong where, bool ndarrays of shape (n,); `validation` is empty if none was asked for."""

    train: NDArray[np.bool_]
    validation: NDArray[np.bool_]
    test: NDArray[np.bool_]


def temporal_split(times: NDArray[Any], *, test_from: Any, validation_from: Any = None) -> TemporalSplit:
    """Rows before `validation_from` train, rows from `test_from` on test, those between validate.

    One instant for all users, so that no feature or model learns from what was later than any test row.

    Parameters
    ----------
    times : ndarray of datetime64 or number, shape (n,)
    test_from, validation_from : datetime64, str or number
        First instants of the parts; without `validation_from` all before `test_from` trains.

    Raises
    ------
    InvalidInputError
        If a time is missing, the instants are not in order, or a part is empty.
    """
    if np.isnat(times).any() if times.dtype.kind == "M" else np.isnan(times).any():
        raise InvalidInputError("a time is missing (NaT or NaN); drop such rows before the split")
    kind = "datetime64[us]" if times.dtype.kind == "M" else times.dtype
    test_at = np.asarray(test_from, kind)
    train_end = test_at if validation_from is None else np.asarray(validation_from, kind)
    if train_end > test_at:
        raise InvalidInputError(f"validation_from ({train_end}) is after test_from ({test_at}); swap them")
    test, train = times >= test_at, times < train_end
    parts = TemporalSplit(train, ~train & ~test, test)
    for name, part in (("train", train), ("validation", parts.validation), ("test", test)):
        if not part.any() and (name != "validation" or validation_from is not None):
            raise InvalidInputError(
                f"no row falls into the {name} part; the times reach from {times.min()} to {times.max()}"
                if len(times)
                else "there are no rows to split"
            )
    return parts


def history_slices(counts: NDArray[Any], *, edges: Sequence[int] = (1, 5, 20)) -> dict[str, NDArray[np.bool_]]:
    """Users or items by how much was known of them before the split.

    Parameters
    ----------
    counts : ndarray of int, shape (n,)
        Interactions before the split; 0 is a cold user or item.
    edges : sequence of int, default (1, 5, 20)
        Ascending, where the next slice begins.

    Returns
    -------
    dict of str to bool ndarray of shape (n,)
        By name, such as ``"0"``, ``"1-4"``, ``"5-19"``, ``"20+"``; each row is in one slice.

    Raises
    ------
    InvalidInputError
        If `edges` do not ascend from at least 1.
    """
    bounds = [0, *edges]
    if any(low >= high for low, high in pairwise(bounds)):
        raise InvalidInputError(f"slice edges {list(edges)} must be at least 1 and ascend")
    slices = {}
    for low, high in pairwise(bounds):
        slices[f"{low}" if high == low + 1 else f"{low}-{high - 1}"] = (counts >= low) & (counts < high)
    return slices | {f"{bounds[-1]}+": counts >= bounds[-1]}
