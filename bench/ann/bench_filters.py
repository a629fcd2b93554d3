"""Search under filters: the core against Faiss with an id bitmap on the same lists, and both against brute force.

For each share of allowed vectors, chosen at random, whole clusters at a time, or all but those nearest to the queries,
it prints how the search was done (lists probed at first, or exactly), recall@100 against brute force over what is
allowed, and the time of both. Last, filters that deny each query its own nearest, searched as deep as they are and
only as deep as the share that is left tells.
Sizes from FRIESIAN_BENCH_VECTORS (100,000) and FRIESIAN_BENCH_DIM (64).

    .venv/bin/python bench/ann/bench_filters.py
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from mixture import load

from friesian_fast.recall import Filter, IvfIndex
from friesian_fast.recall.filters import depth_for

N = int(os.environ.get("FRIESIAN_BENCH_VECTORS", 100_000))
DIM = int(os.environ.get("FRIESIAN_BENCH_DIM", 64))
K, TUNING, QUERIES, ROUNDS = 100, 200, 200, 3
SHARES = (1.0, 0.5, 0.1, 0.01, 0.001, 0.0001)
CASES = [(share, kind) for kind in ("random", "clusters") for share in SHARES]
CASES += [(share, "nearest denied") for share in (0.98, 0.9, 0.7)]
OWN_DENIED = (0.02, 0.1, 0.3)


def allowed_of(share: float, kind: str, vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """One bool a vector."""
    rng = np.random.default_rng(7)
    count = max(1, round(share * N))
    if kind == "random":
        order = rng.permutation(N)
    elif kind == "nearest denied":
        order = np.argsort((vectors @ queries.T).max(axis=1))
    else:  # those nearest to a few directions: whole clusters
        order = np.argsort(-(vectors @ rng.standard_normal((DIM, 3), np.float32)).max(axis=1))
    allowed = np.zeros(N, bool)
    allowed[order[:count]] = True
    return allowed


def exact(vectors: np.ndarray, queries: np.ndarray, allowed: np.ndarray) -> list[set[int]]:
    """Brute force over what is allowed, by Faiss."""
    numbers = np.flatnonzero(allowed)
    flat = faiss.IndexFlatIP(DIM)
    flat.add(vectors[numbers])
    found = flat.search(queries, min(K, len(numbers)))[1]
    return [set(numbers[row].tolist()) for row in found]


def recall(found: np.ndarray, truth: list[set[int]]) -> float:
    """Share of the true best that was found."""
    hits = sum(len(best.intersection(row)) for best, row in zip(truth, found.tolist(), strict=True))
    return hits / sum(map(len, truth))


def microseconds(call, queries: np.ndarray) -> float:  # type: ignore[no-untyped-def]
    """CPU time a query, one query a call."""
    started = time.process_time()
    for query in queries:
        call(query[None])
    return (time.process_time() - started) / len(queries) * 1e6


def main() -> None:
    """Print a table and, last, the same as JSON."""
    faiss.omp_set_num_threads(1)
    vectors, queries = load(N, TUNING + QUERIES, DIM)
    held_out, queries = queries[:TUNING], queries[TUNING:]
    with tempfile.TemporaryDirectory() as directory:
        index = IvfIndex.build(vectors, np.arange(N), path=Path(directory) / "i.idx")
        peer = faiss.read_index(str(Path(directory) / "i.idx"))
        print("tuned:", index.tune(0.95, K, queries=held_out), f"exact up to a share of {index.exact_share:.4f}")
        unfiltered = recall(index.search(queries, K)[0], exact(vectors, queries, np.ones(N, bool)))
        rows = [row_of(index, peer, vectors, queries, share, kind) for share, kind in CASES]
        own = [own_nearest_denied(index, vectors, queries, share) for share in OWN_DENIED]
    print(f"recall without a filter: {unfiltered:.4f}")
    print("| filter | share | lists | recall | us | faiss recall | faiss us | ratio |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for row in rows:
        print(
            f"| {row['kind']} | {row['share']:.2%} | {row['lists']} | {row['recall']:.4f} | {row['us']:.0f} | "
            f"{row['peer_recall']:.4f} | {row['peer_us']:.0f} | {row['peer_us'] / row['us']:.1f} |"
        )
    for share, (found, at_first) in zip(OWN_DENIED, own, strict=True):
        print(f"each query's own nearest {share:.0%} denied: recall {found:.4f}, at the first depth {at_first:.4f}")
    print(json.dumps({"vectors": N, "dim": DIM, "unfiltered_recall": unfiltered, "rows": rows, "own_denied": own}))


def own_nearest_denied(index, vectors, queries, share):  # type: ignore[no-untyped-def]
    """Recall as a search goes, and where it is told the depth that it starts with."""
    count, shares = round(share * N), []
    for query in queries:
        order = np.argsort(-(vectors @ query), kind="stable")
        compiled = index.compile(Filter(deny=order[:count]))
        nprobe, rerank, _ = depth_for(index, compiled, K)
        depths = ({}, {"nprobe": nprobe, "rerank": rerank})
        found = [index.search(query[None], K, filter=compiled, **depth)[0] for depth in depths]
        shares.append([recall(ids, [set(order[count : count + K].tolist())]) for ids in found])
    return np.mean(shares, axis=0).tolist()


def row_of(index, peer, vectors, queries, share, kind):  # type: ignore[no-untyped-def]
    """One line: ours by default; Faiss at the least nprobe, doubling, of at least our recall."""
    allowed = allowed_of(share, kind, vectors, queries)
    numbers = np.flatnonzero(allowed)
    truth = exact(vectors, queries, allowed)
    compiled = index.compile(Filter(allow=numbers))
    found, _ = index.search(queries, K, filter=compiled)
    ours = recall(found, truth)
    is_exact = depth_for(index, compiled, K).rerank is None
    assert not is_exact or ours > 0.9999  # but for what Faiss rounds
    bits = np.packbits(allowed, bitorder="little")
    parameters = faiss.SearchParametersIVF(sel=faiss.IDSelectorBitmap(N, faiss.swig_ptr(bits)), nprobe=1)
    while True:
        theirs = recall(peer.search(queries, K, params=parameters)[1], truth)
        if theirs >= ours or parameters.nprobe >= peer.nlist:
            break
        parameters.nprobe = min(2 * parameters.nprobe, peer.nlist)
    times = [
        (
            microseconds(lambda query: index.search(query, K, filter=compiled), queries),
            microseconds(lambda query: peer.search(query, K, params=parameters), queries),
        )
        for _ in range(ROUNDS)
    ]
    lists = "exact" if is_exact else depth_for(index, compiled, K).nprobe
    us, peer_us = np.median(times, axis=0).tolist()
    print(f"{kind} {share:.2%}: recall {ours:.4f} in {us:.0f} us", file=sys.stderr, flush=True)
    return {
        "kind": kind,
        "share": share,
        "lists": lists,
        "recall": ours,
        "us": us,
        "peer_recall": theirs,
        "peer_us": peer_us,
        "peer_nprobe": parameters.nprobe,
    }


if __name__ == "__main__":
    main()
