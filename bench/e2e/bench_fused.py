"""One request in process, 1M items, 50 candidates of Wide & Deep 1024-1024: the time outside the search and the model.

The index is trained on random vectors with few lists, since the search is left out; its rows are mapped files. Users
are drawn anew for every request, so their rows and those of the candidates are not in the cache. CPU time stands
beside the wall's, which other load distorts.
"""

import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from bench.e2e import walkthrough_release

from friesian_fast.rank import OnnxRanker
from friesian_fast.recall import IvfIndex
from friesian_fast.recommend import IndexRecall, Recommender, RulesStage
from friesian_fast.release.rules import Rules
from friesian_fast.spec import Column, RowSet
from friesian_fast.store import MappedRowStore

ITEMS, USERS, DIM, LISTS = 1_000_000, 200_000, 128, 256
K, CANDIDATES, REQUESTS, WARM_UP = 10, 50, 1000, 100


class Stopwatch:
    """A method that remembers how long its last call took."""

    def __init__(self, call):
        self.call, self.took = call, (0.0, 0.0)

    def __call__(self, *arguments, **named):
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            return self.call(*arguments, **named)
        finally:
            self.took = time.perf_counter() - wall, time.thread_time() - cpu


def stores(folder, spec, rng):
    """A mapped store of random rows for each row set."""
    sizes = {**walkthrough_release.ITEM, **walkthrough_release.CROSSED, **walkthrough_release.EMBEDDED}
    sizes |= walkthrough_release.USER
    vector = RowSet(
        name="user_vector",
        id_column="user_id",
        id_type="int64",
        columns=(Column(name="embedding", type="float32", kind="fixed", length=DIM),),
    )
    opened = {}
    for row_set, n in ((spec.row_set("user"), USERS), (spec.row_set("item"), ITEMS), (vector, USERS)):
        columns = {
            column.name: rng.integers(0, sizes[column.name], n, np.int32)
            if column.type == "int32"
            else rng.random((n, DIM) if column.kind == "fixed" else n, np.float32)
            for column in row_set.columns
        }
        path, tag = folder / f"{row_set.name}.rows", row_set.name[:8].ljust(8).encode()
        tag = tag if row_set is vector else spec.row_tag(row_set.name)
        MappedRowStore.write(path, row_set, tag, np.arange(n), columns)
        opened[row_set.name] = MappedRowStore.open(path, row_set, tag)
    return opened


def by_hand(chain, stores, user):
    """The obvious way: decoded rows, NumPy's repeat, the ranker."""
    proposed = chain.recall.candidates(user, CANDIDATES).ids
    rows, mine = stores["item"].decode(proposed).columns, stores["user"].decode([user]).columns
    inputs = rows | {name: np.repeat(values, len(proposed), axis=0) for name, values in mine.items()}
    return proposed[np.argsort(-chain.ranker.score(inputs), kind="stable")[:K]]


@pytest.mark.slow
def test_fused(benchmark, tmp_path, capsys):
    rng, spec = np.random.default_rng(0), walkthrough_release.spec()
    opened = stores(tmp_path, spec, rng)
    vectors = rng.standard_normal((ITEMS, DIM), np.float32)
    index = IvfIndex.build(vectors, np.arange(ITEMS), path=tmp_path / "item.idx", nlist=LISTS)
    walkthrough_release.save_ranker(tmp_path / "ranker.onnx")
    ranker = OnnxRanker(tmp_path / "ranker.onnx", spec)
    search, score = Stopwatch(partial(index.search, nprobe=1)), Stopwatch(ranker.score)
    rules = RulesStage(Rules(), index)
    recall = IndexRecall(SimpleNamespace(search=search), opened["user_vector"], "int64", rules)
    manifest = SimpleNamespace(index=SimpleNamespace(vectors=ITEMS))
    chain = Recommender(
        SimpleNamespace(spec=spec, id="bench", manifest=manifest, popular=[]),
        users=opened["user"],
        items=opened["item"],
        recall=recall,
        ranker=SimpleNamespace(score=score),
        rules=rules,
    )
    asked = rng.permutation(USERS)[: REQUESTS + WARM_UP].tolist()
    for user in asked[:20]:
        answer = chain.recommend(user, k=K, candidates=CANDIDATES)
        assert answer.fallback is None
        assert answer.ids.tolist() == by_hand(SimpleNamespace(recall=recall, ranker=ranker), opened, user).tolist()
    parts, request = [], Stopwatch(chain.recommend)

    def requests():
        for user in asked:
            request(user, k=K, candidates=CANDIDATES)
            parts.append((request.took, search.took, score.took))

    benchmark.pedantic(requests, rounds=1)
    took = 1e6 * np.array(parts[WARM_UP:])  # request, part of it, clock
    between = took[:, 0] - took[:, 1] - took[:, 2]
    for clock, name in enumerate(("wall", "cpu")):
        p10, p50, p99 = np.percentile(between[:, clock], [10, 50, 99])
        searching, scoring = np.median(took[:, 1:, clock], axis=0)
        benchmark.extra_info.update({f"{name}_p10_us": p10, f"{name}_p50_us": p50, f"{name}_p99_us": p99})
        with capsys.disabled():
            print(
                f"\n  {name}: outside the search and the model p10 {p10:.0f}, p50 {p50:.0f}, p99 {p99:.0f} µs; ", end=""
            )
            print(f"search p50 {searching:.0f}, model p50 {scoring:.0f} µs", end="")
