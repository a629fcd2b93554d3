"""How deep a search goes when it is not told, and what it does where that finds too few."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core

if TYPE_CHECKING:
    from friesian_fast.recall.reach import Reach

# So many allowed vectors stand in the lists that are probed under a filter, for each that is wanted: where all of the
# best stand in very few lists, a filter that thins them out brings in many others.
_PER_ANSWER = 4


def search_depth(
    tuned: tuple[int, int, int], nlist: int, vectors: int, allowed: float, wanted: int
) -> tuple[int, int | None]:
    """How deep to search for the best `wanted` of the `allowed` among all `vectors`.

    Twice as many best lie in about twice as many lists, and the best of a share s about as deep as 1 / s times as many
    of all. A filter at random leaves more than enough in so many lists, one that leaves whole clusters out does not.
    What lies deeper also lies closer together, and codes tell it apart less: more rows are compared.

    Parameters
    ----------
    tuned : tuple of int
        Lists probed and rows compared for the best of all, and how many best.

    Returns
    -------
    nprobe : int
    rerank : int or None
        None, with all lists, where it is as well to compare every row that is allowed, which is exact.
    """
    nprobe, rerank, k = tuned
    more = max(wanted, k)
    lists, rows = nprobe * more / k, rerank * more / k
    if allowed < vectors:
        rarer = vectors / allowed
        crowded = min(_PER_ANSWER * wanted * nlist / allowed, lists * rarer**1.5)  # the second: no jump at s = 1
        lists, rows = max(lists * rarer, crowded), rows * sqrt(rarer)
    if lists >= nlist or rows >= allowed:
        return nlist, None
    return ceil(lists), ceil(rows)


def search_filled(
    search: Callable[..., tuple[Any, ...]],
    queries: NDArray[np.float32],
    k: int,
    nprobe: int,
    rerank: int | None,
    native: _core.IvfLayout,
    allowed: NDArray[np.uint64] | None = None,
    reach: Reach | None = None,
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Search; what comes out short though more may be answered is searched again, exactly.

    So is, deeper, what a filter denies much of near the query.

    Parameters
    ----------
    search : callable
        Of `native`, with all that is not given here.
    allowed : ndarray of uint64, shape (words,) or (n, words), optional
        A bitmap for all queries or for each.
    reach : Reach, optional
        Of the filter that the bitmaps are of.
    """
    exact = nprobe == native.nlist and rerank is None
    if reach is None or exact:
        ids, scores = as_table(*search(queries, k, nprobe, rerank, allowed=allowed))
    else:
        found = search(queries, k, nprobe, rerank, allowed=allowed, rank_of=reach.rank_of)
        ids, scores = as_table(*found[:2])
        ranks = found[2]
        # Most often no query has to go deeper: a look at the largest costs less than one at each.
        for at, depth in reach.deeper(ranks, nprobe) if ranks.max(initial=0) > reach.limit else ():
            bitmap = allowed if allowed is None or allowed.ndim == 1 else allowed[at]
            ids[at], scores[at] = as_table(*search(queries[at], k, *depth, allowed=bitmap))
    if exact:
        return ids, scores
    return fill_short((ids, scores), search, queries, k, native, allowed)


def fill_short(
    found: tuple[NDArray[Any], NDArray[np.float32]],
    search: Callable[..., tuple[Any, ...]],
    queries: NDArray[np.float32],
    k: int,
    native: _core.IvfLayout,
    allowed: NDArray[np.uint64] | None = None,
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """What `search` has found, and exactly where that came out short; see `search_filled`."""
    ids, scores = found
    if len(scores) == 1 and scores[0, -1] > -np.inf:
        return found
    for i in np.flatnonzero(scores[:, -1] == -np.inf):
        bitmap = allowed if allowed is None or allowed.ndim == 1 else allowed[i]
        possible = len(native) if bitmap is None else _core.bitmap_count(bitmap)
        if np.count_nonzero(scores[i] > -np.inf) < min(k, possible):
            again, scores[i] = as_table(*search(queries[i : i + 1], k, native.nlist, None, allowed=bitmap))
            ids[i] = again[0]
    return ids, scores


def as_table(ids: Any, scores: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """String ids, which the core gives as one list, in the shape of the scores."""
    if isinstance(ids, list):
        table = np.empty(len(ids), object)
        table[:] = ids
        ids = table.reshape(scores.shape)
    return ids, scores
