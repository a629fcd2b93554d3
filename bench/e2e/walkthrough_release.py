"""A release of the walkthrough's size and shape without its training: clustered vectors, random rows and weights."""

import json

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto, helper, numpy_helper

from friesian_fast.release.plan import Interactions, PublishPlan
from friesian_fast.release.publish import publish_plan
from friesian_fast.spec import Column, FeatureSpec, ModelInput, RowSet

USERS, ITEMS, DIM = 200_000, 100_000, 128
SEED = 20260801
HIDDEN, EMBEDDING = 1024, 8
CLUSTERS, INTRINSIC, SPREAD = 2000, 16, 0.5  # spread within a cluster beside that of the centres

USER = {"follower": 8, "following": 8, "is_verified": 2}
ITEM = {"media": 14, "language": 67, "tweet_type": 4, "author_follower": 8, "author_following": 8}
CROSSED = {"media_language": 600, "author_is_verified": 2}
EMBEDDED = {"author": 50_000, "hashtags": 20_000, "domains": 5_000}
NUMBERS = ("len_hashtags", "len_domains", "len_links")


def spec():
    sized = {**ITEM, **CROSSED, **EMBEDDED}
    user = tuple(Column(name=name, type="int32", size=size) for name, size in USER.items())
    item = tuple(Column(name=name, type="int32", size=size) for name, size in sized.items())
    item += tuple(Column(name=name, type="float32") for name in NUMBERS)
    row_sets = (
        RowSet(name="user", id_column="user_id", id_type="int64", columns=user),
        RowSet(name="item", id_column="item_id", id_type="int64", columns=item),
    )
    inputs = tuple(
        ModelInput(name=column.name, row_set=rows.name, column=column.name)
        for rows in row_sets
        for column in rows.columns
    )
    return FeatureSpec(name="walkthrough_size", row_sets=row_sets, model_inputs=inputs)


def input_kinds():
    ids = dict.fromkeys([*USER, *ITEM, *CROSSED, *EMBEDDED], TensorProto.INT32)
    return ids | dict.fromkeys(NUMBERS, TensorProto.FLOAT)


def save_ranker(path):
    """Wide & Deep 1024-1024: one-hot, embedded and plain inputs below, one weight an id for the wide part."""
    rng = np.random.default_rng(SEED)
    nodes, weights, deep, wide = [], [numpy_helper.from_array(np.array([1], np.int64), "one")], [], []

    def constant(name, array):
        weights.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def dense(source, rows, columns, name):
        kernel = constant(f"{name}_kernel", rng.normal(size=(rows, columns)) / np.sqrt(rows))
        bias = constant(f"{name}_bias", rng.normal(size=columns) / 10)
        nodes.append(helper.make_node("Gemm", [source, kernel, bias], [name]))
        return name

    def looked_up(name, table, into):
        nodes.append(helper.make_node("Gather", [constant(f"{into}_table", table), name], [into]))
        return into

    for name, size in {**USER, **ITEM}.items():
        deep.append((looked_up(name, np.eye(size), f"{name}_hot"), size))
    for name, size in EMBEDDED.items():
        deep.append((looked_up(name, rng.normal(size=(size, EMBEDDING)), f"{name}_vector"), EMBEDDING))
    for name in NUMBERS:
        nodes.append(helper.make_node("Unsqueeze", [name, "one"], [f"{name}_column"]))
        deep.append((f"{name}_column", 1))
    for name, size in {"is_verified": 2, **CROSSED}.items():
        wide.append(looked_up(name, rng.normal(size=(size, 1)) / 10, f"{name}_weight"))
    nodes.append(helper.make_node("Concat", [name for name, _ in deep], ["deep_input"], axis=1))
    nodes.append(
        helper.make_node("Relu", [dense("deep_input", sum(n for _, n in deep), HIDDEN, "dense_1")], ["relu_1"])
    )
    nodes.append(helper.make_node("Relu", [dense("relu_1", HIDDEN, HIDDEN, "dense_2")], ["relu_2"]))
    nodes.append(helper.make_node("Sum", [dense("relu_2", HIDDEN, 1, "deep"), *wide], ["logit"]))
    nodes.append(helper.make_node("Sigmoid", ["logit"], ["probability"]))
    nodes.append(helper.make_node("Squeeze", ["probability", "one"], ["score"]))
    inputs = [helper.make_tensor_value_info(column, kind, ["N"]) for column, kind in input_kinds().items()]
    output = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"])
    graph = helper.make_graph(nodes, "wide_and_deep", inputs, [output], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def vectors():
    """Users and items of the same Gaussians, of few dimensions, with Zipf's weights; normalised; users noisier."""
    rng = np.random.default_rng(SEED)
    centres = rng.normal(size=(CLUSTERS, DIM)).astype(np.float32)
    bases = rng.normal(size=(CLUSTERS, INTRINSIC, DIM)).astype(np.float32) / np.float32(np.sqrt(INTRINSIC) / SPREAD)
    weights = 1 / np.arange(1, CLUSTERS + 1)
    found = []
    for count, noise in ((USERS, 0.05), (ITEMS, 0.02)):
        cluster = np.sort(rng.choice(CLUSTERS, count, p=weights / weights.sum()))
        values = np.empty((count, DIM), np.float32)
        for number, rows in enumerate(np.split(np.arange(count), np.searchsorted(cluster, np.arange(1, CLUSTERS)))):
            values[rows] = centres[number] + rng.normal(size=(len(rows), INTRINSIC)).astype(np.float32) @ bases[number]
        values += np.float32(noise) * rng.standard_normal(values.shape, np.float32)
        rng.shuffle(values)
        found.append(values / np.linalg.norm(values, axis=1, keepdims=True))
    return found


def build(root):
    """Publish the release; returns the directory of releases, and the users' and items' vectors by id, from 1 on."""
    rng = np.random.default_rng(SEED)
    users, items = vectors()
    spec().save(root / "spec.json")
    for kind, count, sizes, values in (
        ("user", USERS, USER, users),
        ("item", ITEMS, {**ITEM, **CROSSED, **EMBEDDED}, items),
    ):
        ids = np.arange(1, count + 1)
        rows = {name: rng.integers(0, size, count, np.int32) for name, size in sizes.items()}
        if kind == "item":
            rows |= {name: rng.random(count, np.float32) for name in NUMBERS}
        pq.write_table(pa.table({f"{kind}_id": ids, **rows}), root / f"{kind}.parquet")
        lists = pa.ListArray.from_arrays(np.arange(0, (count + 1) * DIM, DIM, np.int32), values.ravel())
        pq.write_table(pa.table({f"{kind}_id": ids, "prediction": lists}), root / f"{kind}_ebd.parquet")
    pq.write_table(pa.table({"item_id": rng.integers(1, ITEMS, 10_000)}), root / "log.parquet")
    (root / "ranker").mkdir()
    save_ranker(root / "ranker" / "ranker.onnx")
    (root / "ranker" / "ranker.json").write_text(json.dumps({"framework": {"onnx": onnx.__version__}, "max_error": 0}))
    plan = PublishPlan(
        spec=root / "spec.json",
        rows={kind: root / f"{kind}.parquet" for kind in ("user", "item")},
        vectors={kind: root / f"{kind}_ebd.parquet" for kind in ("user", "item")},
        ranker=root / "ranker",
        interactions=Interactions(path=root / "log.parquet", item="item_id"),
    )
    publish_plan(plan, root / "releases")
    return root / "releases", users, items
