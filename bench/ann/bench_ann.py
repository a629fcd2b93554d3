"""Search against its peers: recall and time of each at each setting, then the best of each in interleaved rounds.

    python -m bench.ann.bench_ann [mixture|words]

FRIESIAN_ANN_VECTORS (1000000), FRIESIAN_ANN_NLISTS (1024,2048,4096,8192), FRIESIAN_ANN_METHODS (all),
FRIESIAN_ANN_CACHE (a folder for what is built), FRIESIAN_ANN_ROUNDS (5), FRIESIAN_ANN_THREADS (for building: 2),
FRIESIAN_ANN_HUGE_PAGES (of our index: 0, which is the default of opening one).
Searching takes one thread. Times are CPU time of the process, through each library's Python call; recall@100 is
against exact search. Prints the table and writes into the cache folder what bench/ann keeps of a run: a .json and, for
each batch size, an .svg.

Settings that differ in the depth of the search only are tried from the narrowest on, until one has the highest recall
asked for or finds hardly more than the one before it. The first that reaches a recall asked for is timed coarsely, and
some others for the plot. Of everybody's settings of at least the recall, those that this found fastest go into the
rounds, and the fastest there counts. Every round calls all of them, in another order, on the same queries, and goes
through them three times; ratios are taken within a round.
"""

from __future__ import annotations

import importlib
import math
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bench.ann import results
from bench.ann.methods import METHODS, Data, K, Point, faiss_module
from numpy.typing import NDArray

QUERIES = 1000
TARGETS, BATCHES = (0.95, 0.99), (1, 32)
PASSES = 3
QUICK = 96  # queries of the first, coarse timing
SHORTLIST, NEAR = 3, 1.5  # settings of a method that go into the rounds, and how much slower than its first they may be
DEPTH = re.compile(r"\b(nprobe|searched|ef|window) \d+")  # what a setting is deepened by
GAIN = 0.0005  # of recall; a step deeper that finds less leads nowhere
LOWEST, STEP = 0.85, 0.01  # recalls of settings that are timed for the plot only: from, and how far apart


def setting(name: str, default: str) -> str:
    return os.environ.get(f"FRIESIAN_ANN_{name}", default)


def exact(data: Data, queries: NDArray[np.float32]) -> list[frozenset[int]]:
    faiss = faiss_module(data)
    path = data.cache / "exact.npy"
    if not path.exists():
        flat = faiss.IndexFlatIP(data.vectors.shape[1])
        flat.add(data.vectors)
        np.save(path, flat.search(queries, K)[1])
    return [frozenset(row) for row in np.load(path).tolist()]


def recall_of(point: Point, queries: NDArray[np.float32], truth: Sequence[frozenset[int]]) -> float:
    found = point.search(queries)
    return sum(len(best.intersection(row)) for best, row in zip(truth, found.tolist(), strict=True)) / (K * len(truth))


def seconds_per_query(point: Point, queries: NDArray[np.float32], batch: int) -> NDArray[np.float64]:
    """CPU time of the mean call, and of the median one; of each call that of the median pass.

    The queries are gone through once before. Some queries may take longer than others, and all of them have to be
    answered: the mean is what counts.
    """
    parts = [queries[i : i + batch] for i in range(0, len(queries) - batch + 1, batch)]
    for part in parts:
        point.search(part)
    taken = np.empty((PASSES, len(parts)))
    for turn in taken:
        for i, part in enumerate(parts):
            start = time.process_time_ns()
            point.search(part)
            turn[i] = time.process_time_ns() - start
    calls = np.median(taken, axis=0)
    return np.array([np.mean(calls), np.median(calls)]) / 1e9 / batch


def all_points(data: Data) -> Iterator[Point]:
    for name in setting("METHODS", ",".join(METHODS)).split(","):
        try:
            yield from METHODS[name](data)
        except Exception as error:  # a peer that is missing or refuses this CPU
            print(f"left out: {name}: {type(error).__name__}: {str(error)[:200]}", flush=True)


def exhausted(recalls: Sequence[float]) -> bool:
    """Whether a deeper search than those of these recalls would only take longer."""
    if not recalls:
        return False
    return recalls[-1] >= max(TARGETS) or (len(recalls) > 1 and recalls[-1] < recalls[-2] + GAIN)


def survey(data: Data, queries: NDArray[np.float32]) -> list[results.Row]:
    """Recall and a coarse time of every setting that comes near a target."""
    truth = exact(data, queries)
    rows = []
    tried: dict[str, list[float]] = {}  # recalls of what differs in depth only
    timed: dict[str, float] = {}  # the last of them that was timed
    for point in all_points(data):
        family = point.method + DEPTH.sub("", point.setting)
        recalls = tried.setdefault(family, [])
        if exhausted(recalls):
            continue
        recall = recall_of(point, queries[: QUERIES // 2], truth[: QUERIES // 2])
        reaches = any(max(recalls, default=0.0) < target <= recall for target in TARGETS)
        recalls.append(recall)
        if not reaches and recall < timed.get(family, LOWEST - STEP) + STEP:
            continue
        timed[family] = recall
        times = {batch: float(seconds_per_query(point, queries[-QUICK:], batch)[0]) for batch in BATCHES}
        rows.append({"point": point, "recall": recall, "seconds": times})
        cost = "".join(f"{seconds * 1e6:9.1f}" for seconds in times.values())
        print(f"{point.method:24} {point.setting:34} recall {recall:.4f} {cost} us", flush=True)
    return rows


def shortlist(rows: list[results.Row], target: float, batch: int) -> list[results.Row]:
    """The settings of each method that the coarse timing found fastest, or nearly."""
    by_method: dict[str, list[results.Row]] = {}
    for row in sorted(rows, key=lambda row: row["seconds"][batch]):
        if row["recall"] >= target:
            by_method.setdefault(row["point"].method, []).append(row)
    return [
        row
        for some in by_method.values()
        for row in some[:SHORTLIST]
        if row["seconds"][batch] <= NEAR * some[0]["seconds"][batch]
    ]


def rounds(rows: list[results.Row], queries: NDArray[np.float32], batch: int) -> dict[str, dict[str, Any]]:
    """What the fastest setting of each method took."""
    taken: list[list[NDArray[np.float64]]] = [[] for _ in rows]
    for turn in range(int(setting("ROUNDS", "5"))):
        for at in np.roll(range(len(rows)), -turn):
            taken[at].append(seconds_per_query(rows[at]["point"], queries, batch))
    fastest: dict[str, int] = {}
    for at in sorted(range(len(rows)), key=lambda at: float(np.median(taken[at], axis=0)[0])):
        fastest.setdefault(rows[at]["point"].method, at)
    mine = taken[fastest["friesian_fast"]] if "friesian_fast" in fastest else None
    return {method: _told(rows[at], taken[at], mine) for method, at in fastest.items()}


def _told(row: results.Row, times: list[NDArray[np.float64]], mine: list[NDArray[np.float64]] | None) -> dict[str, Any]:
    us, median_us = np.median(times, axis=0) * 1e6
    slower, median_slower = np.median(np.divide(times, mine), axis=0) if mine else (math.nan, math.nan)
    return {
        "setting": row["point"].setting,
        "recall": round(row["recall"], 4),
        "us": round(us, 1),
        "times_slower": round(slower, 2),
        "median_us": round(median_us, 1),
        "median_times_slower": round(median_slower, 2),
    }


def duel(rows: list[results.Row], queries: NDArray[np.float32], target: float, batch: int) -> dict[str, Any]:
    """The rounds of all that reach a recall, printed."""
    found = rounds(shortlist(rows, target, batch), queries, batch)
    print(f"\nrecall >= {target}, batch {batch}: us a query, mean and (median), and how many times slower than ours")
    for name, row in sorted(found.items(), key=lambda item: item[1]["us"]):
        slower = f"{row['times_slower']:6.2f}x ({row['median_times_slower']:5.2f}x)"
        cost = f"{row['us']:8.1f} ({row['median_us']:8.1f}) {slower}"
        print(f"  {name:24} {cost}  recall {row['recall']:.4f}  {row['setting']}")
    return found


def main(kind: str = "mixture") -> None:
    source = importlib.import_module(f"bench.ann.{kind}")
    count = int(setting("VECTORS", "1000000"))
    vectors, queries = source.load(count, QUERIES)
    digest = source.fingerprint(vectors, queries)
    cache = Path(setting("CACHE", "/tmp/friesian_ann")) / f"{kind}-{len(vectors)}-{digest[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    nlists = tuple(int(text) for text in setting("NLISTS", "1024,2048,4096,8192").split(","))
    print(f"{kind}: {vectors.shape}, sha256 {digest}; in {cache}", flush=True)
    huge_pages = setting("HUGE_PAGES", "0") == "1"
    print(f"friesian_fast is opened with huge_pages={huge_pages}", flush=True)
    data = Data(vectors, cache, nlists, int(setting("THREADS", "2")), huge_pages)
    rows = survey(data, queries)
    best = {
        f"recall {target} batch {batch}": duel(rows, queries[QUERIES // 2 :], target, batch)
        for target in TARGETS
        for batch in BATCHES
    }
    results.write(
        cache, kind, {"data": kind, "shape": vectors.shape, "sha256": digest, "huge_pages": huge_pages}, rows, best
    )


if __name__ == "__main__":
    main(*sys.argv[1:2])
