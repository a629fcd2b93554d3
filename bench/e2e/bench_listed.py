"""One request in process from lists of candidates, of the size of `online_retail`: search and model included.

3,970 users with lists of 200 to 400 of 3,607 items and 12 values of each pair; 200 of them are ranked on 30 inputs,
once as they stand and once without 60 items that the user has seen. CPU time stands beside the wall's, which other
load distorts.
"""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import onnx
import pyarrow as pa
import pytest
from bench.e2e.bench_fused import REQUESTS, WARM_UP, Stopwatch
from onnx import TensorProto, helper, numpy_helper

from friesian_fast.rank import OnnxRanker
from friesian_fast.recall import IvfIndex
from friesian_fast.recommend import IndexRecall, ListedRecall, Recommender, RulesStage
from friesian_fast.release.candidates import CandidateStore, candidate_row_set
from friesian_fast.release.rules import Rules
from friesian_fast.release.seen import SeenStore, seen_row_set
from friesian_fast.spec import PLACE, Column, FeatureSpec, ModelInput, RowSet
from friesian_fast.store import MappedRowStore

USERS, ITEMS, DIM, SHORTEST, LONGEST, SEEN, RANKED = 3970, 3607, 64, 200, 400, 60, 200
PAIR, USER, ITEM = ([f"{name}_{n}" for n in range(count)] for name, count in (("pair", 12), ("user", 9), ("item", 9)))


def listed_spec():
    """30 inputs: 12 of the pair, 18 of user and item."""

    def numbers(name, columns):
        columns = tuple(Column(name=column, type="float32") for column in columns)
        return RowSet(name=name, id_column=f"{name}_id", id_type="int64", columns=columns)

    user, item = numbers("user", USER), numbers("item", ITEM)
    row_sets = (user, item, candidate_row_set(user, PAIR, LONGEST))
    fed = [("candidate", PAIR), ("user", USER), ("item", ITEM)]
    inputs = tuple(ModelInput(name=name, row_set=rows, column=name) for rows, names in fed for name in names)
    return FeatureSpec(name="listed", row_sets=row_sets, model_inputs=inputs)


def save_small_ranker(path, rng):
    """The deep part of Wide & Deep 128-64."""
    names, sizes, nodes, weights = [*PAIR, *USER, *ITEM], (30, 128, 64, 1), [], []
    weights.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
    nodes += [helper.make_node("Unsqueeze", [name, "one"], [f"{name}_column"]) for name in names]
    nodes.append(helper.make_node("Concat", [f"{name}_column" for name in names], ["active_0"], axis=1))
    for n, (rows, columns) in enumerate(pairwise(sizes)):
        kernel = rng.standard_normal((rows, columns), np.float32) / np.float32(np.sqrt(rows))
        weights += [numpy_helper.from_array(kernel, f"kernel_{n}")]
        weights += [numpy_helper.from_array(np.zeros(columns, np.float32), f"bias_{n}")]
        nodes.append(helper.make_node("Gemm", [f"active_{n}", f"kernel_{n}", f"bias_{n}"], [f"dense_{n}"]))
        nodes.append(helper.make_node("Relu" if columns > 1 else "Sigmoid", [f"dense_{n}"], [f"active_{n + 1}"]))
    nodes.append(helper.make_node("Squeeze", ["active_3", "one"], ["score"]))
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in values]
        for values in (names, ["score"])
    )
    graph = helper.make_graph(nodes, "deep", inputs, outputs, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def write_lists(folder, row_set, tag, lengths, rng):
    """Of each user that many items, drawn without repetition, and values of each."""
    offsets = np.append(0, np.cumsum(lengths)).astype(np.int64)
    drawn = [1 + rng.permutation(ITEMS)[:length].astype(np.int32) for length in lengths]
    columns = {PLACE: np.concatenate(drawn)}
    columns |= {c.name: rng.random(offsets[-1], np.float32) for c in row_set.columns if c.name != PLACE}
    columns = {name: pa.LargeListArray.from_arrays(offsets, pa.array(values)) for name, values in columns.items()}
    MappedRowStore.write(folder / f"{row_set.name}.rows", row_set, tag, np.arange(USERS), columns)
    return MappedRowStore.open(folder / f"{row_set.name}.rows", row_set, tag)


def listed_chain(folder, hide_seen):
    """A recommender over lists; what users have seen is drawn from all items."""
    rng, spec = np.random.default_rng(0), listed_spec()
    vectors = rng.standard_normal((ITEMS, DIM), np.float32)
    index = IvfIndex.build(vectors, np.arange(ITEMS), path=folder / "item.idx")
    embedding = Column(name="embedding", type="float32", kind="fixed", length=DIM)
    vector = RowSet(name="user_vector", id_column="user_id", id_type="int64", columns=(embedding,))
    opened = {}
    for row_set, n in (
        (spec.row_set("user"), USERS),
        (spec.row_set("item"), ITEMS),
        (vector, USERS),
    ):
        columns = {c.name: rng.random((n, c.length) if c.kind == "fixed" else n, np.float32) for c in row_set.columns}
        path, tag = folder / f"{row_set.name}.rows", b"vectors." if row_set is vector else spec.row_tag(row_set.name)
        MappedRowStore.write(path, row_set, tag, np.arange(n), columns)
        opened[row_set.name] = MappedRowStore.open(path, row_set, tag)
    lengths = rng.integers(SHORTEST, LONGEST + 1, USERS)
    lists = CandidateStore(write_lists(folder, spec.row_set("candidate"), spec.row_tag("candidate"), lengths, rng))
    rules = RulesStage(Rules(), index)
    if hide_seen:
        seen = write_lists(folder, seen_row_set(spec.row_set("user"), SEEN), b"the seen", np.full(USERS, SEEN), rng)
        rules = RulesStage(Rules(hide_seen=True), index, seen=SeenStore(seen, b"the seen"))
    nearest = IndexRecall(index, opened["user_vector"], "int64", rules)
    save_small_ranker(folder / "ranker.onnx", rng)
    ranker = SimpleNamespace(candidates=RANKED)
    manifest = SimpleNamespace(index=SimpleNamespace(vectors=ITEMS), ranker=ranker)
    chain = Recommender(
        SimpleNamespace(spec=spec, id="bench", manifest=manifest, popular=[]),
        users=opened["user"],
        items=opened["item"],
        recall=ListedRecall(lists, index, nearest, "int64", rules),
        ranker=OnnxRanker(folder / "ranker.onnx", spec),
        rules=rules,
    )
    return chain, lists


@pytest.mark.slow
@pytest.mark.parametrize("hide_seen", [False, True], ids=["all", "hide_seen"])
def test_listed(benchmark, tmp_path, capsys, hide_seen):
    chain, lists = listed_chain(tmp_path, hide_seen)
    asked = np.random.default_rng(1).permutation(USERS)[: REQUESTS + WARM_UP].tolist()
    answer = chain.recommend(asked[0], explain=True)
    assert answer.fallback is None
    assert len(answer.explanation.candidates) == RANKED
    request, decode, took = Stopwatch(chain.recommend), Stopwatch(lists.of), []

    def requests():
        for user in asked:
            request(user)
            decode([user])
            took.append((request.took, decode.took))

    benchmark.pedantic(requests, rounds=1)
    micros = 1e6 * np.array(took[WARM_UP:])  # request or its list alone, clock
    for clock, name in enumerate(("wall", "cpu")):
        p50, p99 = np.percentile(micros[:, 0, clock], [50, 99])
        decoding = np.median(micros[:, 1, clock])
        benchmark.extra_info.update({f"{name}_p50_us": p50, f"{name}_p99_us": p99, f"{name}_decode_us": decoding})
        with capsys.disabled():
            print(f"\n  {name}: request p50 {p50:.0f}, p99 {p99:.0f} µs; decoding a list p50 {decoding:.0f} µs", end="")
