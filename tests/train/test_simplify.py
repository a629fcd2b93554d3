"""The simplified graph has fewer nodes and the same answers; what would change them is left alone."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from friesian_fast.train.simplify import simplify

ROWS, WIDTH = 7, 4


def model(nodes, weights, outputs=("y",), inputs=(("id", TensorProto.INT32, ["N"]),)):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def answers(proto, inputs):
    return onnxruntime.InferenceSession(proto.SerializeToString()).run(None, inputs)


def operations(proto):
    return [node.op_type for node in proto.graph.node]


def looked_up(*, shift):
    """A look-up behind what Keras does to negative ids: id + shift where it is below 0."""
    nodes = [
        helper.make_node("Add", ["id", "shift"], ["shifted"]),
        helper.make_node("Less", ["id", "zero"], ["negative"]),
        helper.make_node("Where", ["negative", "shifted", "id"], ["index"]),
        helper.make_node("Gather", ["table", "index"], ["y"]),
    ]
    table = np.arange(ROWS * 2, dtype=np.float32).reshape(ROWS, 2)
    return model(nodes, {"shift": np.int32(shift), "zero": np.int32(0), "table": table})


def test_a_look_up_takes_the_id_itself_where_that_is_the_same():
    proto = looked_up(shift=ROWS)
    ids = np.arange(-ROWS, ROWS, dtype=np.int32)
    before = answers(proto, {"id": ids})
    simplify(proto)
    assert operations(proto) == ["Gather"]
    assert [weight.name for weight in proto.graph.initializer] == ["table"]
    np.testing.assert_array_equal(answers(proto, {"id": ids}), before)


def test_a_look_up_that_shifts_its_ids_keeps_doing_so():
    proto = looked_up(shift=ROWS - 1)
    ids = np.arange(-3, ROWS, dtype=np.int32)
    before = answers(proto, {"id": ids})
    simplify(proto)
    assert operations(proto) == ["Add", "Less", "Where", "Gather"]
    np.testing.assert_array_equal(answers(proto, {"id": ids}), before)


def product(*after, outputs=("y",), **constants):
    rng = np.random.default_rng(0)
    weights = {"kernel": rng.normal(size=(3, WIDTH)), "bias": rng.normal(size=WIDTH), "scale": rng.normal(size=WIDTH)}
    weights = {name: values.astype(np.float32) for name, values in {**weights, **constants}.items()}
    nodes = [helper.make_node("MatMul", ["x", "kernel"], ["product"]), *after]
    return model(nodes, weights, outputs, inputs=[("x", TensorProto.FLOAT, ["N", 3])])


X = {"x": np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)}


def test_a_bias_and_a_normalisation_become_weights():
    proto = product(
        helper.make_node("Add", ["product", "bias"], ["a"]),
        helper.make_node("Mul", ["scale", "a"], ["b"]),
        helper.make_node("Add", ["b", "bias"], ["c"]),
        helper.make_node("Relu", ["c"], ["y"]),
    )
    before = answers(proto, X)
    simplify(proto)
    assert operations(proto) == ["Gemm", "Relu"]
    np.testing.assert_allclose(answers(proto, X), before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("after", "outputs", "left"),
    [
        # two read the product; the product is an answer; a constant that differs by row
        ([("Add", ["product", "bias"], "a"), ("Mul", ["product", "a"], "y")], ("y",), ["MatMul", "Add", "Mul"]),
        ([("Add", ["product", "bias"], "y")], ("product", "y"), ["MatMul", "Add"]),
        ([("Add", ["product", "rows"], "y")], ("y",), ["MatMul", "Add"]),
        ([("Mul", ["product", "product"], "y")], ("y",), ["MatMul", "Mul"]),
    ],
)
def test_what_cannot_be_folded_stays(after, outputs, left):
    nodes = [helper.make_node(kind, inputs, [output]) for kind, inputs, output in after]
    proto = product(*nodes, outputs=outputs, rows=np.arange(5.0)[:, None])
    before = answers(proto, X)
    simplify(proto)
    assert operations(proto) == left
    for one, other in zip(answers(proto, X), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_products_of_sequences_stay():
    """A Gemm takes matrices only."""
    rng = np.random.default_rng(2)
    weights = {"kernel": rng.normal(size=(3, WIDTH)), "bias": rng.normal(size=WIDTH)}
    nodes = [
        helper.make_node("MatMul", ["x", "kernel"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["y"]),
    ]
    proto = model(
        nodes,
        {n: v.astype(np.float32) for n, v in weights.items()},
        ("y",),
        inputs=[("x", TensorProto.FLOAT, ["N", 2, 3])],
    )
    x = {"x": rng.normal(size=(5, 2, 3)).astype(np.float32)}
    before = answers(proto, x)
    simplify(proto)
    assert operations(proto) == ["MatMul", "Add"]
    np.testing.assert_array_equal(answers(proto, x), before)
