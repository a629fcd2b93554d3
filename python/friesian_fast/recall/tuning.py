"""Chooses how deep a search goes: the cheapest pair of lists probed and rows compared that reaches a recall.

Then a margin: some queries have their best in few lists, others in many, and the centroids' scores say which. More
lists than every query needs, less those that lie too far off, find as much for less.

The cost is counted in bytes of memory traffic, not timed, so the same data gives the same choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError
from friesian_fast.recall.depth import as_table, search_depth

# A line of a row far away costs about as much as this many lines of a list that is read in order.
RANDOM_LINE = 2.0
LINE = 64
# Numbers of lists that are tried with a margin, in steps of `steps` above what goes without.
MARGIN_STEPS = 4
# A margin is found to this share of the longest that can matter, and later ones from the one before.
_FIRST_HALVINGS, _NEXT_HALVINGS = 12, 5
# It has to save more than finding the best centroids takes: about a microsecond, which is not counted.
_WORTH = 0.95
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
    most_lists : int
        With a margin: lists a search for at most `k` probes at most. 0 where a margin gains nothing, and all searches
        probe `nprobe`.
    margin : float
        Lists farther off than this, beyond the mean of the best four, are left out.
    """

    nprobe: int
    rerank: int
    recall: float
    k: int
    queries: int
    most_lists: int = 0
    margin: float = 0.0


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
        return self.traffic(rows, nprobe, rerank)

    def counted_cost(self, lists: NDArray[np.uint32], queries: int, rerank: int) -> float:
        """The same, on average, of queries that probe `lists` in all."""
        return self.traffic(float(self.list_sizes[lists].sum()) / queries, len(lists) / queries, rerank)

    def traffic(self, rows: float, lists: float, rerank: int) -> float:
        """Bytes that so many rows in so many lists take, and comparing `rerank` of them."""
        code_bytes = -(-self.dim // 8) * 2
        row_lines = self.dim * 2 / LINE + 1
        return rows * code_bytes + (lists * 4 + rerank * row_lines) * RANDOM_LINE * LINE

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


def truth_of(exact: NDArray[Any]) -> list[frozenset[Any]]:
    """The ids of each row of an exact answer, without what stands where there were fewer."""
    return [frozenset(row) - {-1, None} for row in exact.tolist()]


def share_found(truth: Sequence[frozenset[Any]], found: NDArray[Any]) -> float:
    """Recall: the share of the true best that an answer holds."""
    hits = sum(len(best.intersection(row)) for best, row in zip(truth, found.tolist(), strict=True))
    return hits / sum(len(best) for best in truth)


def choose_depth(
    native: _core.IvfLayout, recall: float, k: int, queries: NDArray[np.float32], exact: _core.ExactScan | None
) -> tuple[Tuning, float]:
    """See `IvfIndex.tune`; and up to which share of allowed vectors a search is exact."""
    best, _ = as_table(*native.search(queries, k, native.nlist, exact=exact))
    if best.size == 0:
        raise InvalidInputError("tuning needs at least one query")
    truth = truth_of(best)

    def measure(nprobe: int, rerank: int, margin: float = 0.0) -> float:
        return share_found(truth, as_table(*native.search(queries, k, nprobe, rerank, margin=margin))[0])

    sizes = Sizes(len(native), native.dim, native.list_sizes)
    nprobe, rerank, reached = choose(sizes, recall, k, measure) or (native.nlist, k, 1.0)
    near = choose_margin(
        native.nlist,
        nprobe,
        2 * native.largest_norm,
        lambda most, margin: measure(most, rerank, margin),
        lambda most, margin: sizes.counted_cost(native.probes(queries, most, margin)[1], len(queries), rerank),
    )
    share = exact_share(sizes, nprobe, rerank, k)
    if near is None:
        return Tuning(nprobe, rerank, reached, k, len(queries)), share
    return Tuning(nprobe, rerank, measure(near[0], rerank, near[1]), k, len(queries), *near), share


def choose_margin(
    nlist: int,
    nprobe: int,
    longest: float,
    measure: Callable[[int, float], float],
    cost: Callable[[int, float], float],
) -> tuple[int, float] | None:
    """The cheapest (most lists, margin) whose `measure` is not below that of `nprobe` lists without a margin.

    None if none is cheaper by enough. `longest` leaves out nothing.
    """
    more_lists = [most for most in steps(nlist) if most > nprobe][:MARGIN_STEPS]
    if not more_lists:
        return None
    wanted, best_cost = measure(nprobe, 0.0), _WORTH * cost(nprobe, 0.0)
    best, margin, halvings = None, longest, _FIRST_HALVINGS
    for most in more_lists:
        low, margin = 0.0 if margin == longest else margin * 0.75, margin
        for _ in range(halvings):
            middle = (low + margin) / 2
            low, margin = (low, middle) if measure(most, middle) >= wanted else (middle, margin)
        if margin == longest:
            continue
        halvings = _NEXT_HALVINGS
        if cost(most, margin) < best_cost:
            best, best_cost = (most, float(np.float32(margin))), cost(most, margin)
        elif best is not None:
            break
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
