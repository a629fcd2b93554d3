"""A release of 500 items and 300 users with a small real model, published for the tests of all online parts."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from onnx import TensorProto, helper, numpy_helper

from friesian_fast.recommend import open_recommender
from friesian_fast.release.candidates import candidate_row_set
from friesian_fast.release.open import open_release
from friesian_fast.release.publish import publish
from friesian_fast.spec import Column, FeatureSpec, ModelInput, RowSet

DIM = 16
USERS, ITEMS = 300, 500
UNKNOWN_USER = 99_999
LONGEST = 40  # candidates of a user, in a release with lists
LISTED_USERS = 200  # the others have none


def user_id(n, string_ids=False):
    return f"user-{n}" if string_ids else n + 1


def item_id(n, string_ids=False):
    return f"item/{n} é" if string_ids else 1000 + 7 * n


def spec(string_ids=False, lists=False, fed_by="affinity"):
    plain = _plain_spec("string" if string_ids else "int64")
    if not lists:
        return plain
    row_set = candidate_row_set(plain.row_set("user"), ("affinity",), LONGEST)
    fed = ModelInput(name="affinity", row_set="candidate", column=fed_by)
    return replace(plain, row_sets=(*plain.row_sets, row_set), model_inputs=(*plain.model_inputs, fed))


def _plain_spec(kind):
    return FeatureSpec(
        name="tiny",
        row_sets=(
            RowSet(
                name="user",
                id_column="user_id",
                id_type=kind,
                columns=(Column(name="age", type="int32", size=100), Column(name="spend", type="float32")),
            ),
            RowSet(
                name="item",
                id_column="item_id",
                id_type=kind,
                columns=(
                    Column(name="price", type="float32"),
                    Column(name="tags", type="int32", kind="list", length=3, size=10),
                    Column(name="genre", type="int32", size=20),
                ),
            ),
        ),
        model_inputs=(
            ModelInput(name="user_age", row_set="user", column="age"),
            ModelInput(name="price", row_set="item", column="price"),
            ModelInput(name="tags", row_set="item", column="tags"),
            ModelInput(name="spend", row_set="user", column="spend"),
            ModelInput(name="genre", row_set="item", column="genre"),
        ),
    )


def weights():
    """The table that makes a score of an age and a genre."""
    return np.random.default_rng(7).normal(size=(100, 20)).astype(np.float32)


def expected_scores(age, spend, price, tags, genre, affinity=0):
    """What the model computes, in NumPy."""
    logit = weights()[age, genre] + price * spend + np.float32(0.1) * tags.sum(axis=1).astype(np.float32) + affinity
    return 1 / (1 + np.exp(-logit))


def save_model(path, lists=False):
    more = ["affinity"] if lists else []
    nodes = [
        helper.make_node("Unsqueeze", ["user_age", "one"], ["age_column"]),
        helper.make_node("Unsqueeze", ["genre", "one"], ["genre_column"]),
        helper.make_node("Concat", ["age_column", "genre_column"], ["pairs32"], axis=1),
        helper.make_node("Cast", ["pairs32"], ["pairs"], to=TensorProto.INT64),
        helper.make_node("GatherND", ["table", "pairs"], ["taste"]),
        helper.make_node("Cast", ["tags"], ["tags_float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["tags_float", "one"], ["tag_sum"], keepdims=0),
        helper.make_node("Mul", ["tag_sum", "tenth"], ["tagged"]),
        helper.make_node("Mul", ["price", "spend"], ["paid"]),
        helper.make_node("Sum", ["taste", "tagged", "paid", *more], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    kinds = {"user_age": TensorProto.INT32, "genre": TensorProto.INT32, "tags": TensorProto.INT32}
    shapes = {"tags": ["N", 3]}
    names = ("user_age", "price", "tags", "spend", "genre", *more)
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shapes.get(name, ["N"]))
            for name in names
        ],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"])],
        [
            numpy_helper.from_array(weights(), "table"),
            numpy_helper.from_array(np.array([1], np.int64), "one"),
            numpy_helper.from_array(np.array(0.1, np.float32), "tenth"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def features():
    rng = np.random.default_rng(0)
    user = {"age": rng.integers(0, 100, USERS, np.int32), "spend": rng.random(USERS, np.float32)}
    item = {
        "price": rng.random(ITEMS, np.float32),
        "tags": rng.integers(0, 10, (ITEMS, 3), np.int32),
        "genre": rng.integers(0, 20, ITEMS, np.int32),
    }
    return user, item


def vectors(n, seed):
    values = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def candidates():
    """User, item (numbers), score and affinity of every pair that is proposed; each user has another number of them."""
    rng = np.random.default_rng(3)
    counts = rng.integers(5, LONGEST + 1, LISTED_USERS)
    user = np.repeat(np.arange(LISTED_USERS), counts)
    item = np.concatenate([rng.permutation(ITEMS)[:count] for count in counts])
    return user, item, rng.permutation(len(user)).astype(np.float32), rng.normal(size=len(user)).astype(np.float32)


def build(root, *, string_ids=False, lists=False):
    """Publish the release under ``root / "releases"``; the last user has features, but no vector."""
    users = [user_id(n, string_ids) for n in range(USERS)]
    items = [item_id(n, string_ids) for n in range(ITEMS)]
    user, item = features()
    root.mkdir(parents=True, exist_ok=True)
    spec(string_ids, lists).save(root / "spec.json")
    write(root / "user.parquet", {"user_id": users, **user})
    tags = pa.array(item["tags"].tolist(), pa.list_(pa.int32()))
    write(root / "item.parquet", {"item_id": items, **item, "tags": tags})
    write(root / "user_ebd.parquet", {"user_id": users[:-1], "prediction": vectors(USERS - 1, 1).tolist()})
    write(root / "item_ebd.parquet", {"item_id": items, "prediction": vectors(ITEMS, 2).tolist()})
    (root / "ranker").mkdir(exist_ok=True)
    save_model(root / "ranker" / "ranker.onnx", lists)
    (root / "ranker" / "ranker.json").write_text(json.dumps({"framework": {"onnx": onnx.__version__}, "max_error": 0}))
    log = [item for n, item in enumerate(items[:60]) for _ in range(60 - n)]
    write(root / "log.parquet", {"item_id": log})
    plan = {
        "spec": "spec.json",
        "rows": {"user": "user.parquet", "item": "item.parquet"},
        "vectors": {"user": "user_ebd.parquet", "item": "item_ebd.parquet"},
        "ranker": "ranker",
        "interactions": {"path": "log.parquet", "item": "item_id"},
        "rank": {"runtimes": ["onnxruntime-fp32"]},
    }
    if lists:
        user, item, score, affinity = candidates()
        pairs = {"user_id": [users[n] for n in user], "item_id": [items[n] for n in item]}
        write(root / "candidates.parquet", {**pairs, "near": score, "affinity": affinity})
        plan["candidates"] = {"path": "candidates.parquet", "user": "user_id", "item": "item_id", "score": "near"}
    (root / "publish.yaml").write_text(yaml.safe_dump(plan))
    publish(root / "publish.yaml", root / "releases")
    return root / "releases"


def build_ruled(root, *, string_ids=False, lists=False, **rules):
    """The same with rules, columns of the items (genre, price), and what user 7 had: what she is shown first.

    Returns the directory of releases and the ids of those five.
    """
    releases = build(root, string_ids=string_ids, lists=lists)
    user = user_id(7, string_ids)
    had = list(open_recommender(open_release(releases)).recommend(user, k=5).ids)
    write(root / "bought.parquet", {"u": [user] * len(had), "i": had})
    (root / "rules.json").write_text(json.dumps({"format": "friesian-rules", "version": 1, **rules}))
    plan = yaml.safe_load((root / "publish.yaml").read_text())
    plan["columns"] = {"path": "item.parquet", "names": ["genre", "price"]}
    plan["seen"] = {"path": "bought.parquet", "user": "u", "item": "i"}
    plan["rules"] = "rules.json"
    (root / "publish.yaml").write_text(yaml.safe_dump(plan))
    publish(root / "publish.yaml", releases)
    return releases, set(had)


def write(path, columns):
    pq.write_table(pa.table(columns), path)
