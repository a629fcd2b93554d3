"""Publishes the item index: built, tuned, and its recall measured. Offline."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from friesian_fast.recall import IvfIndex
from friesian_fast.recall.tuning import share_found, truth_of
from friesian_fast.release.inputs import Inputs
from friesian_fast.release.manifest import IndexEntry

METRIC: Final = "ip"
RECALL_K = 100
SMALL_CATALOGUE = 200_000  # below it, an exact search is timed beside the tuned one
QUERIES = 1000  # that tune, and as many others that measure
TARGET_RECALL = 0.95


def write_index(inputs: Inputs, building: Path) -> IndexEntry:
    """The item index, as deep as the recall target takes for some of the users, and the recall of others."""
    (building / "index").mkdir()
    items = inputs.vectors["item"]
    count, dim = items.vectors.shape
    path = building / "index" / f"item_{dim}.idx"
    index = IvfIndex.build(items.vectors, items.ids, metric=METRIC, path=path)
    k = min(RECALL_K, count)
    tuning, held_out = split_users(inputs.vectors["user"].vectors)
    tuned = index.tune(TARGET_RECALL, k, queries=tuning)
    exact = count <= SMALL_CATALOGUE and index.prefer_exact(k, queries=tuning)
    return IndexEntry(
        file=f"index/{path.name}",
        layout=f"index/{path.with_suffix('.ivf').name}",
        vectors=count,
        dim=dim,
        metric=METRIC,
        nlist=index.nlist,
        nprobe=index.nprobe,
        most_lists=index.most_lists,
        margin=index.margin,
        rerank=index.rerank,
        recall=recall_of(index, held_out, k),
        recall_k=k,
        recall_queries=len(held_out),
        tuned_recall=1.0 if exact else tuned.recall,
        tuned_queries=len(tuning),
    )


def split_users(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Up to `QUERIES` users that tune and as many others that measure; a single one does both."""
    drawn = np.random.default_rng(0).permutation(len(vectors))[: 2 * QUERIES]
    half = -(-len(drawn) // 2)
    tuning, held_out = (np.ascontiguousarray(vectors[np.sort(part)]) for part in (drawn[:half], drawn[half:]))
    return tuning, held_out if len(held_out) else tuning


def recall_of(index: IvfIndex, queries: NDArray[np.float32], k: int) -> float:
    """The share of the exact best k that searches find as they go by default."""
    exact, _ = index.search(queries, k, nprobe=index.nlist)
    found, _ = index.search(queries, k)
    return share_found(truth_of(exact), found)
