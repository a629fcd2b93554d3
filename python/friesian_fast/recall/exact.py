"""Small catalogues: every vector by 8-bit codes, where that is faster than probing lists."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core

if TYPE_CHECKING:
    from friesian_fast.recall.index import IvfIndex

_ROUNDS = 5
_QUERIES = 100


def exact_scan(native: _core.IvfLayout) -> _core.ExactScan | None:
    """The codes of all vectors, if a search compares all by default; squared distances have none."""
    if native.depth[0] < native.nlist or native.metric == "l2" or len(native) == 0:
        return None
    return _core.ExactScan(native)


def exact_is_faster(index: IvfIndex, native: _core.IvfLayout, queries: NDArray[np.float32], k: int) -> bool:
    """Whether exact searches take less time, by the medians of rounds that alternate; one query at a time."""
    scan = None if native.metric == "l2" else _core.ExactScan(native)
    some = [np.ascontiguousarray(query[None]) for query in queries[:_QUERIES]]
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(2 * _ROUNDS):
        exactly = turn % 2 == 0
        nprobe = index.nlist if exactly else None
        started = time.thread_time()
        for query in some:
            native.search(query, k, nprobe, exact=scan)
        seconds[exactly].append(time.thread_time() - started)
    return float(np.median(seconds[True])) < float(np.median(seconds[False]))
