"""Chooses how deep a search goes: the cheapest pair of lists probed and rows compared that reaches a recall.

The cost is counted in bytes of memory traffic, not timed, so the same data gives the same choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.recall.depth import search_depth

# A line of a row far away costs about as much as this many lines of a list that is read in order.
RANDOM_LINE = 2.0
LINE = 64
# Candidates per answer that are tried, least first.
DEPTHS = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 24.0, 32.0)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What `IvfIndex.tune` chose and measured.

    Attributes
    ----------
    nprobe : int
        Lists a search probes.
    rerank : int
        Candidates whose rows it compares.
    recall : float
        Share of the exact best k found at this depth.
    k, queries : int
        What it was measured with.
    """

    nprobe: int
    rerank: int
    recall: float
    k: int
    queries: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the cost of a search depends on."""

    vectors: int
    dim: int
    list_sizes: NDArray[np.int64]

    def cost(self, nprobe: int, rerank: int) -> float:
        """Bytes of traffic of one query, lines far away weighted."""
        # Queries lie where the vectors lie: a long list is probed in proportion to its length.
        rows = nprobe * float(np.square(self.list_sizes).sum()) / max(self.vectors, 1)
        code_bytes = -(-self.dim // 8) * 2
        row_lines = self.dim * 2 / LINE + 1
        return rows * code_bytes + (nprobe * 4 + rerank * row_lines) * RANDOM_LINE * LINE

    def exact_cost(self) -> float:
        """The same of a search that compares every row."""
        return self.vectors * self.dim * 2.0


def exact_share(sizes: Sizes, nprobe: int, rerank: int, k: int) -> float:
    """The share of allowed vectors up to which comparing their rows costs no more than probing lists for the best k.

    Rows are compared in the order of the layout and fetched ahead, so their lines are not weighted as far ones.
    """
    row = sizes.dim * 2 + LINE
    shares = [2 ** (-i / 4) for i in range(80)]
    for share in shares:
        allowed = share * sizes.vectors
        lists, rows = search_depth((nprobe, rerank, k), len(sizes.list_sizes), sizes.vectors, allowed, k)
        if rows is None or allowed * row <= sizes.cost(lists, rows):
            return share
    return 0.0


def steps(nlist: int) -> list[int]:
    """Numbers of lists to try: four to an octave, all below `nlist`."""
    return sorted({round(2 ** (i / 4)) for i in range(4 * nlist.bit_length() + 4) if round(2 ** (i / 4)) < nlist})


def choose(sizes: Sizes, recall: float, k: int, measure: Callable[[int, int], float]) -> tuple[int, int, float] | None:
    """The cheapest (nprobe, rerank) whose `measure` reaches `recall`, and what it measured.

    None if an exact search is cheaper, or nothing else reaches the recall.
    """
    depths = [int(np.ceil(k * depth)) for depth in DEPTHS]
    probes = steps(len(sizes.list_sizes))
    reached = first_true(len(probes), lambda i: measure(probes[i], depths[-1]) >= recall)
    best, best_cost = None, sizes.exact_cost()
    for nprobe in probes[reached:]:
        if sizes.cost(nprobe, depths[0]) >= best_cost:
            break
        at = first_true(len(depths), lambda i, nprobe=nprobe: measure(nprobe, depths[i]) >= recall)  # type: ignore[misc]
        if at < len(depths) and sizes.cost(nprobe, depths[at]) < best_cost:
            best_cost = sizes.cost(nprobe, depths[at])
            best = nprobe, depths[at], measure(nprobe, depths[at])
    return best


def first_true(n: int, holds: Callable[[int], Any]) -> int:
    """The first i below n with holds(i), by bisection: once it holds, it goes on holding; n if it never does."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
