"""Whether a search under a filter went deep enough, by what the filter leaves near the query, and how deep if not."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from friesian_fast.recall.depth import search_depth

# Where the best allowed vectors stand so much deeper than those of a filter at random, they are searched for again;
# so many standard deviations of these are chance, and equal codes count as a few that are denied.
_DEEPER, _CHANCE, _TIES = 1.05, 3, 0.03
# What is denied in lists that were not scanned is not seen: the deeper the best lie, the more.
_UNSEEN = 1.5
# Depths to an octave: queries that go equally deep are searched together.
_STEPS = 4
# So many times the lists and rows of a search for the best of all.
_RIM_LISTS, _RIM_ROWS = 3, 2


class Reach:
    """How far down the order of all vectors a search finds the best allowed ones.

    A depth is chosen for a filter that leaves the same share everywhere. One that denies what lies near the query, such
    as the categories it is made of, has its best deeper: the search itself sees how deep, since codes are scored
    whether or not their vectors are allowed.

    Parameters
    ----------
    tuned : tuple of int
        Lists probed and rows compared for the best of all, and how many best.
    nlist, vectors, allowed : int
    wanted : int
        How many best of all the depth is for, if all were allowed.
    hidden : int
        How many of these a query may be denied by a list of its own.

    Attributes
    ----------
    rank_of : int
        The place among the allowed vectors whose place among all tells.
    limit : float
        The place among all up to which the depth is right.
    """

    __slots__ = ("_covered", "_nlist", "_tuned", "_vectors", "_wanted", "limit", "rank_of")

    def __init__(
        self, tuned: tuple[int, int, int], nlist: int, vectors: int, allowed: int, wanted: int, hidden: int
    ) -> None:
        self._tuned, self._nlist, self._vectors, self._wanted = tuned, nlist, vectors, wanted
        self._covered = max(wanted, tuned[2])
        self.rank_of = self._covered - hidden
        share = allowed / vectors
        self.limit = self._covered / share * (_DEEPER + _CHANCE * sqrt(max(1 - share, _TIES) / self.rank_of))

    def deeper(
        self, ranks: NDArray[np.uint32], nprobe: int
    ) -> Iterator[tuple[NDArray[np.intp], tuple[int, int | None]]]:
        """Queries that `nprobe` lists were too few for, and the depth for them; those of one depth together.

        Parameters
        ----------
        ranks : ndarray of uint32, shape (n,)
            Where each query's allowed vector of place `rank_of` stands among all.
        """
        short = np.flatnonzero(ranks > self.limit)
        steps = np.ceil(np.log2(ranks[short] / self._covered) * _UNSEEN * _STEPS)
        together: dict[tuple[int, int | None], list[NDArray[np.intp]]] = {}
        for step in np.unique(steps):
            allowed = self._vectors / 2 ** (step / _STEPS)
            depth = self._again(*search_depth(self._tuned, self._nlist, self._vectors, allowed, self._wanted))
            if depth[0] > nprobe or depth[1] is None:
                together.setdefault(depth, []).append(short[steps == step])
        for depth, parts in together.items():
            yield np.concatenate(parts), depth

    def _again(self, lists: int, rows: int | None) -> tuple[int, int | None]:
        """What is left of a region that is mostly denied lies at its rim, side by side: deeper than the best of all."""
        if rows is None or lists * _RIM_LISTS >= self._nlist:
            return self._nlist, None
        return ceil(lists * _RIM_LISTS), ceil(rows * _RIM_ROWS)
