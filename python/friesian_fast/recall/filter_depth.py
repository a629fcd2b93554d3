"""How deep searches under filters go by default."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from friesian_fast import _core
from friesian_fast.recall.depth import search_depth
from friesian_fast.recall.reach import Reach

# Each is a few hundred bytes; what users have seen makes for as many as there are lengths of it.
_KEPT = 1024


class FilterDepth(NamedTuple):
    """How deep to search under a filter.

    Parameters
    ----------
    nprobe : int
        Lists to probe. Those without an allowed vector are passed over and not counted.
    rerank : int or None
        Rows to compare. None, with all lists: every one that is allowed, which is exact.
    reach : Reach or None
        Whether that was deep enough; None where it is exact.
    """

    nprobe: int
    rerank: int | None
    reach: Reach | None


def filter_depths(native: _core.IvfLayout) -> Callable[[int, int, int], FilterDepth]:
    """The depth for so many allowed vectors, so many answers, and so many that a query may be denied besides.

    It depends on nothing else of a filter. A cheap search takes ten microseconds and working this out two, so it is
    kept; what is kept are numbers, and it goes with the index.
    """
    tuned, nlist, vectors, exact_share = native.depth, native.nlist, len(native), native.exact_share

    @lru_cache(maxsize=_KEPT)
    def depth_of(allowed: int, k: int, hidden: int) -> FilterDepth:
        if allowed <= exact_share * vectors:
            return FilterDepth(nlist, None, None)
        # What a user has seen lies near the query more often than not: the k best of the rest may lie as deep as all of
        # that.
        k = max(k, 1)  # the core says what is wrong with another
        nprobe, rerank = search_depth(tuned, nlist, vectors, allowed, k + hidden)
        reach = None if rerank is None else Reach(tuned, nlist, vectors, allowed, k + hidden, hidden)
        return FilterDepth(nprobe, rerank, reach)

    return depth_of
