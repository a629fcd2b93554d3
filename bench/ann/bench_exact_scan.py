"""Where small catalogues are better scanned: exactly by 8-bit codes, by half-precision rows, in tuned lists, by Faiss.

One query at a time, one thread, k = 100. The exact ones must find the same ids; the tuned lists have recall 0.95.

    .venv/bin/python bench/ann/bench_exact_scan.py
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from mixture import load

from friesian_fast import _core
from friesian_fast.recall import IvfIndex

SIZES, DIM, K, ROUNDS = (1_000, 5_000, 20_000, 50_000, 100_000), 64, 100, 5


def measure(calls, queries):  # type: ignore[no-untyped-def]
    """Median CPU microseconds a query of each, over rounds that take turns."""
    times = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            started = time.process_time()
            for query in queries:
                call(query[None])
            times[name].append((time.process_time() - started) / len(queries) * 1e6)
    return {name: float(np.median(some)) for name, some in times.items()}


def row_of(size: int):  # type: ignore[no-untyped-def]
    """One catalogue."""
    vectors, queries = load(size, 400, DIM)
    with tempfile.TemporaryDirectory() as directory:
        index = IvfIndex.build(vectors, np.arange(size), path=Path(directory) / "i.idx")
        tuned = index.tune(0.95, K, queries=queries[:200])
    flat = faiss.IndexFlatIP(DIM)
    flat.add(vectors)
    native, scan = index._native, _core.ExactScan(index._native)
    asked = queries[200:]
    by_codes, _ = native.search(asked, K, index.nlist, exact=scan)
    assert (by_codes == native.search(asked, K, index.nlist)[0]).all()
    calls = {
        "codes": lambda query: native.search(query, K, index.nlist, exact=scan),
        "rows": lambda query: native.search(query, K, index.nlist),
        "tuned": lambda query: native.search(query, K),
        "faiss flat": lambda query: flat.search(query, K),
    }
    row = {"vectors": size, "nprobe": tuned.nprobe, "nlist": index.nlist, **measure(calls, asked)}
    print(row, file=sys.stderr, flush=True)
    return row


def main() -> None:
    """Print a table and, last, the same as JSON."""
    faiss.omp_set_num_threads(1)
    rows = [row_of(size) for size in SIZES]
    print("| vectors | exact, codes | exact, rows | tuned (lists) | faiss flat |")
    print("|--:|--:|--:|--:|--:|")
    for row in rows:
        lists = f"{row['tuned']:.0f} ({row['nprobe']} of {row['nlist']})"
        print(f"| {row['vectors']:,} | {row['codes']:.0f} | {row['rows']:.0f} | {lists} | {row['faiss flat']:.0f} |")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
