"""A small set of publishable outputs, string item ids and duplicates included."""

import json

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from onnx import TensorProto, helper

from friesian_fast.spec import Column, FeatureSpec, ModelInput, RowSet

DIM = 8
USERS, ITEMS = 40, 30


def item_ids():
    return [f"item-{n:02d}" for n in range(ITEMS)]


def spec():
    return FeatureSpec(
        name="tiny",
        row_sets=(
            RowSet(
                name="user",
                id_column="user_id",
                id_type="int64",
                columns=(Column(name="age", type="int32", size=100), Column(name="spend", type="float32")),
            ),
            RowSet(
                name="item",
                id_column="item_id",
                id_type="string",
                columns=(
                    Column(name="price", type="float32"),
                    Column(name="tags", type="int32", kind="list", length=3, size=10),
                    Column(name="shape", type="float64", kind="fixed", length=2),
                ),
            ),
        ),
        model_inputs=(
            ModelInput(name="user_age", row_set="user", column="age"),
            ModelInput(name="item_price", row_set="item", column="price"),
        ),
    )


def unit_vectors(n, seed):
    vectors = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write(path, columns):
    pq.write_table(pa.table(columns), path)


def write_ranker(directory, inputs=("user_age", "item_price"), **report):
    directory.mkdir(exist_ok=True)
    types = {"user_age": TensorProto.INT32}
    nodes = [helper.make_node("Cast", [name], [f"{name}_float"], to=TensorProto.FLOAT) for name in inputs]
    nodes.append(helper.make_node("Sum", [f"{name}_float" for name in inputs], ["score"]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), ["N"]) for name in inputs],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), directory / "ranker.onnx")
    report = {"framework": {"tensorflow": "2.21.0"}, "max_error": 1e-7, "metrics": {"auc": 0.75}, **report}
    (directory / "ranker.json").write_text(json.dumps(report))


@pytest.fixture
def outputs(tmp_path):
    """A directory with ``publish.yaml`` and everything it names."""
    root = tmp_path / "outputs"
    (root / "log").mkdir(parents=True)
    spec().save(root / "spec.json")
    rng = np.random.default_rng(0)
    users = np.arange(USERS, dtype=np.int64) * 7
    write(
        root / "user.parquet",
        {
            "user_id": np.append(users, users[3]),
            "age": np.append(np.arange(USERS, dtype=np.int32), np.int32(99)),
            "spend": rng.random(USERS + 1).astype(np.float32),
        },
    )
    write(
        root / "item.parquet",
        {
            "item_id": item_ids()[::-1],
            "price": np.arange(ITEMS, dtype=np.float32)[::-1],
            "tags": pa.array([list(range(n % 4)) for n in range(ITEMS)][::-1], pa.list_(pa.int64())),
            "shape": pa.array([[float(n), -float(n)] for n in range(ITEMS)][::-1], pa.list_(pa.float64())),
        },
    )
    write(root / "user_ebd.parquet", {"user_id": users, "prediction": unit_vectors(USERS, 1).tolist()})
    write(root / "item_ebd.parquet", {"item_id": item_ids(), "prediction": unit_vectors(ITEMS, 2).tolist()})
    write_ranker(root / "ranker")
    write(root / "log" / "part-0.parquet", {"item_id": ["item-05"] * 3 + ["gone"], "label": [1, 1, 0, 1]})
    write(root / "log" / "part-1.parquet", {"item_id": ["item-09", "item-02", None], "label": [1, 1, 1]})
    plan = {
        "spec": "spec.json",
        "rows": {"user": "user.parquet", "item": "item.parquet"},
        "vectors": {"user": "user_ebd.parquet", "item": "item_ebd.parquet"},
        "ranker": "ranker",
        "interactions": {"path": "log", "item": "item_id", "label": "label"},
        "rank": {"runtimes": ["onnxruntime-fp32"]},
    }
    (root / "publish.yaml").write_text(yaml.safe_dump(plan))
    return root
