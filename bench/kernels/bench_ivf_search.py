"""Search of 200k x 64 vectors, k = 100: the core against Faiss on the very same lists, one thread each.

Both probe as many lists; ours compares the rows of its best codes only, and its recall must be within 0.005 before
a time counts. The peers at their own fastest settings are in bench/ann.
"""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from friesian_fast import _core
from friesian_fast.recall import IvfIndex

N, DIM, K = 200_000, 64, 100


def clustered(n, seed):
    """Points around 1000 centres with an inner structure of 16 dimensions, normalised."""
    centres = np.random.default_rng(0).standard_normal((1000, DIM))
    basis = np.random.default_rng(1).standard_normal((16, DIM))
    rng = np.random.default_rng(seed)
    points = centres[rng.integers(1000, size=n)] + 0.6 * rng.standard_normal((n, 16)) @ basis
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    faiss.omp_set_num_threads(1)
    path = tmp_path_factory.mktemp("ivf") / "i.idx"
    index = IvfIndex.build(clustered(N, 2), np.arange(N), path=path, nlist=1024)
    index.tune(0.95, K, queries=clustered(200, 3))
    peer = faiss.read_index(str(path))
    peer.nprobe = index.nprobe
    return index, peer


def recall_of(found, exact):
    return np.mean([len(set(a) & set(b)) / K for a, b in zip(found.tolist(), exact.tolist(), strict=True)])


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize("method", ["faiss", *_core.runnable_simd_levels()])
def test_ivf_search(benchmark, index, batch, method):
    ours, peer = index
    queries = clustered(320, 4)
    exact, _ = ours.search(queries, K, nprobe=ours.nlist)
    depth = {"nprobe": ours.nprobe, "rerank": ours.rerank}
    turn = [0]

    def found_by(some):
        return peer.search(some, K)[1] if method == "faiss" else ours.search(some, K, level=method, **depth)[0]

    def run():
        turn[0] = (turn[0] + batch) % len(queries)
        some = queries[turn[0] : turn[0] + batch]
        return found_by(some)

    benchmark.group = f"ivf_search batch={batch} nprobe={ours.nprobe} rerank={ours.rerank}"
    recall = recall_of(found_by(queries), exact)
    benchmark.extra_info.update(recall=float(recall), vectors=N, dim=DIM)
    assert recall > recall_of(peer.search(queries, K)[1], exact) - 0.005
    assert recall > 0.93
    benchmark(run)
