"""Search against its peers: recall and time of each at each setting, then the best of each in interleaved rounds.

    python -m bench.ann.bench_ann [mixture|words]

FRIESIAN_ANN_VECTORS (1000000), FRIESIAN_ANN_NLISTS (1024,2048,4096,8192), FRIESIAN_ANN_METHODS (all),
FRIESIAN_ANN_CACHE (a folder for what is built), FRIESIAN_ANN_ROUNDS (5), FRIESIAN_ANN_THREADS (for building: 2).
Searching takes one thread. Times are CPU time of the process, through each library's Python call; recall@100 is
against exact search. Prints the table and writes results.json and curves.svg into the cache folder.

A peer's fastest setting of at least the recall goes into the rounds; every round calls all of them, in another order,
on the same queries, and goes through them three times. Ratios are taken within a round.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bench.ann.methods import METHODS, Data, K, Point, faiss_module
from numpy.typing import NDArray

from friesian_fast.evaluate.svg import line_plot

QUERIES = 1000
TARGETS, BATCHES = (0.95, 0.99), (1, 32)
PASSES = 3
QUICK = 96  # queries of the first, coarse timing


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


def seconds_per_query(point: Point, queries: NDArray[np.float32], batch: int) -> float:
    """The mean call, of CPU time, since some queries may take longer than others; of each call the median pass.

    The queries are gone through once before.
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
    return float(np.median(taken, axis=0).mean()) / 1e9 / batch


def all_points(data: Data) -> Iterator[Point]:
    for name in setting("METHODS", ",".join(METHODS)).split(","):
        try:
            yield from METHODS[name](data)
        except Exception as error:  # a peer that is missing or refuses this CPU
            print(f"left out: {name}: {type(error).__name__}: {str(error)[:200]}", flush=True)


def survey(data: Data, queries: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Recall and a coarse time of every setting that comes near a target."""
    truth = exact(data, queries)
    rows = []
    for point in all_points(data):
        recall = recall_of(point, queries[: QUERIES // 2], truth[: QUERIES // 2])
        if recall < 0.85:
            continue
        times = {batch: seconds_per_query(point, queries[-QUICK:], batch) for batch in BATCHES}
        rows.append({"point": point, "recall": recall, "seconds": times})
        cost = "".join(f"{seconds * 1e6:9.1f}" for seconds in times.values())
        print(f"{point.method:24} {point.setting:34} recall {recall:.4f} {cost} us", flush=True)
    return rows


def finalists(rows: list[dict[str, Any]], target: float, batch: int) -> list[dict[str, Any]]:
    best: dict[str, dict[str, Any]] = {}
    for row in rows:
        name = row["point"].method
        if row["recall"] >= target and (name not in best or row["seconds"][batch] < best[name]["seconds"][batch]):
            best[name] = row
    return list(best.values())


def rounds(rows: list[dict[str, Any]], queries: NDArray[np.float32], batch: int) -> dict[str, dict[str, Any]]:
    names = [row["point"].method for row in rows]
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(int(setting("ROUNDS", "5")) if rows else 0):  # nobody may reach the recall
        for row in rows[turn % len(rows) :] + rows[: turn % len(rows)]:
            taken[row["point"].method].append(seconds_per_query(row["point"], queries[QUERIES // 2 :], batch))
    mine = taken.get("friesian_fast")
    return {
        row["point"].method: {
            "setting": row["point"].setting,
            "recall": row["recall"],
            "us": float(np.median(taken[row["point"].method])) * 1e6,
            "times_slower": float(np.median(np.divide(taken[row["point"].method], mine))) if mine else math.nan,
        }
        for row in rows
    }


def curves(rows: list[dict[str, Any]]) -> str:
    """The settings of each method that no other of its own beats."""
    series: dict[str, list[tuple[float, float]]] = {}
    for row in sorted(rows, key=lambda row: (-row["recall"], row["seconds"][1])):
        line = series.setdefault(row["point"].method, [])
        height = math.log10(row["seconds"][1] * 1e6)
        if not line or height < line[-1][1]:
            line.append((row["recall"], height))
    return line_plot(
        series, title="Recall and time", x_label="recall@100", y_label="log10 of µs a query, batch 1", from_zero=False
    )


def main(kind: str = "mixture") -> None:
    source = importlib.import_module(f"bench.ann.{kind}")
    count = int(setting("VECTORS", "1000000"))
    vectors, queries = source.load(count, QUERIES)
    digest = source.fingerprint(vectors, queries)
    cache = Path(setting("CACHE", "/tmp/friesian_ann")) / f"{kind}-{len(vectors)}-{digest[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    nlists = tuple(int(text) for text in setting("NLISTS", "1024,2048,4096,8192").split(","))
    print(f"{kind}: {vectors.shape}, sha256 {digest}; in {cache}", flush=True)
    data = Data(vectors, cache, nlists, int(setting("THREADS", "2")))
    rows = survey(data, queries)
    results: dict[str, Any] = {"data": kind, "shape": vectors.shape, "sha256": digest, "best": {}}
    for target in TARGETS:
        for batch in BATCHES:
            found = rounds(finalists(rows, target, batch), queries, batch)
            results["best"][f"recall {target} batch {batch}"] = found
            print(f"\nrecall >= {target}, batch {batch}")
            for name, row in sorted(found.items(), key=lambda item: item[1]["us"]):
                cost = f"{row['us']:8.1f} us  {row['times_slower']:5.2f}x"
                print(f"  {name:24} {cost}  recall {row['recall']:.4f}  {row['setting']}")
    (cache / "results.json").write_text(json.dumps(results, indent=2))
    (cache / "curves.svg").write_text(curves(rows))


if __name__ == "__main__":
    main(*sys.argv[1:2])
