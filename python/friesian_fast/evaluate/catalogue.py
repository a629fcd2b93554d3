"""What lists do beyond being right: how much of the catalogue they show, how novel, how varied, how popular."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.evaluate.lists import PADDING, require_lists


def coverage(lists: NDArray[Any], *, items: int) -> float:
    """Share of the catalogue that at least one list names (Herlocker et al., 2004).

    Parameters
    ----------
    lists : ndarray of int, shape (n, k)
        Items, -1 behind the last.
    items : int
        Size m of the catalogue.
    """
    return float((exposure(lists, items=items) > 0).mean())


def exposure(lists: NDArray[Any], *, items: int) -> NDArray[np.int64]:
    """How many lists name each item, int64 of shape (items,); parameters as of `coverage`."""
    _require_items(lists, items)
    return np.bincount(lists[lists != PADDING], minlength=items)


def gini(counts: NDArray[Any]) -> float:
    """How unequal counts are, 0 (all equal) to nearly 1: ``sum((2i - m - 1) c_i) / (m sum(c))``, c ascending, i from 1.

    Of the exposure of items it is the usual measure of popularity bias (Fleder & Hosanagar, 2009).

    Parameters
    ----------
    counts : ndarray of number, shape (m,)
        Not negative, not all 0.
    """
    if not len(counts) or (counts < 0).any() or not counts.any():
        raise InvalidInputError("gini needs counts that are not negative and not all 0; check what was counted")
    m = len(counts)
    weights = 2.0 * np.arange(1, m + 1) - m - 1
    return float((weights * np.sort(counts)).sum() / (m * counts.sum()))


def novelty(lists: NDArray[Any], popularity: NDArray[Any]) -> NDArray[np.float64]:
    """Mean self-information of a list's items: ``mean(-log2((c_i + 1) / sum(c + 1)))`` bits (Zhou et al., 2010).

    Parameters
    ----------
    lists : ndarray of int, shape (n, k)
        Items, -1 behind the last.
    popularity : ndarray of int, shape (m,)
        Interactions c of each item before the split; one is added to each, so that a new item is finite.

    Returns
    -------
    float64 ndarray of shape (n,)
        NaN for an empty list.
    """
    counts = np.asarray(popularity, np.float64) + 1
    return _list_means(lists, -np.log2(counts / counts.sum()))


def average_popularity(lists: NDArray[Any], popularity: NDArray[Any]) -> NDArray[np.float64]:
    """Mean number of interactions of a list's items (Yin et al., 2012); parameters and result as of `novelty`."""
    return _list_means(lists, np.asarray(popularity, np.float64))


def diversity(lists: NDArray[Any], vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Mean cosine distance of the pairs of a list: ``1 - mean(cos(v_i, v_j), i < j)`` (Ziegler et al., 2005).

    Parameters
    ----------
    lists : ndarray of int, shape (n, k)
        Items, -1 behind the last.
    vectors : ndarray of float, shape (m, d)
        Of the items; a zero vector is at distance 1 from all.

    Returns
    -------
    float64 ndarray of shape (n,)
        0 to 2; NaN for a list of fewer than two items.
    """
    _require_items(lists, len(vectors))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros(vectors.shape), where=lengths > 0)
    total = np.zeros((len(lists), vectors.shape[1]))
    own = np.zeros(len(lists))
    # Place by place, so that no more than (n, d) is held: sum of cos over i != j is |sum v|^2 - sum |v|^2.
    for place in lists.T:
        of_place = np.where((place != PADDING)[:, None], unit[place], 0.0)
        total += of_place
        own += np.einsum("nd,nd->n", of_place, of_place)
    sizes = (lists != PADDING).sum(axis=1)
    similar = np.full(len(lists), np.nan)
    between = np.einsum("nd,nd->n", total, total) - own
    np.divide(between, sizes * (sizes - 1), out=similar, where=sizes > 1)
    return 1.0 - similar


def _list_means(lists: NDArray[Any], of_item: NDArray[np.float64]) -> NDArray[np.float64]:
    _require_items(lists, len(of_item))
    listed = lists != PADDING
    sizes = listed.sum(axis=1)
    means = np.full(len(lists), np.nan)
    np.divide(np.where(listed, of_item[lists], 0.0).sum(axis=1), sizes, out=means, where=sizes > 0)
    return means


def _require_items(lists: NDArray[Any], items: int) -> None:
    require_lists(lists)
    if items < 1 or (lists >= items).any():
        largest = int(lists.max()) if lists.size else PADDING
        raise InvalidInputError(f"item {largest} is in a list, but the catalogue has {items} items; give all of them")
