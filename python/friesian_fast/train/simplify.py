"""Removes from an exported ONNX graph what a converter leaves in it and a runtime would compute at every request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

_INDEX_OPS = {"Add", "Cast", "Less", "Mul", "Not", "Where"}


def simplify(model: Any) -> None:
    """Simplify a graph in place; its answers stay those it gave, to rounding.

    Two things are done. An id that is looked up first runs through nine operations in which Keras maps negative ids to
    the end of the table; where they do what ONNX's own look-up does, shown by running them on every id that the table
    has, the look-up takes the id itself. And what follows a matrix product as additions and multiplications by
    constants, such as a bias and a batch normalisation, becomes part of its weights.

    Parameters
    ----------
    model : onnx.ModelProto
    """
    graph = model.graph
    weights = {weight.name: weight for weight in graph.initializer}
    for node in graph.node:
        if node.op_type == "Gather" and node.input[0] in weights:
            _look_up_directly(model, node, weights[node.input[0]].dims[0])
    _prune(graph)
    flat = _matrices(model)
    for node in [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in weights]:
        if node.output[0] in flat:  # what a Gemm takes
            _fold_constants(graph, node, weights)
    _prune(graph)


def _matrices(model: Any) -> set[str]:
    """The values that are known to have two dimensions."""
    graph = shape_inference.infer_shapes(model).graph
    values = [*graph.value_info, *graph.input, *graph.output]
    return {value.name for value in values if len(value.type.tensor_type.shape.dim) == 2}


def _look_up_directly(model: Any, gather: Any, size: int) -> None:
    graph = model.graph
    inputs = {value.name: value for value in graph.input}
    nodes = _upstream(graph, gather.input[1])
    sources = {name for node in nodes for name in node.input} & inputs.keys()
    if len(sources) != 1 or not {node.op_type for node in nodes} <= _INDEX_OPS:
        return
    source = inputs[sources.pop()]
    kind = helper.tensor_dtype_to_np_dtype(source.type.tensor_type.elem_type)
    ids = np.arange(-size, size).astype(kind)
    if np.array_equal(_evaluate(model, nodes, source, gather.input[1], ids), np.where(ids < 0, ids + size, ids)):
        gather.input[1] = source.name


def _upstream(graph: Any, value: str) -> list[Any]:
    """The nodes behind a value, in the graph's order."""
    wanted, found = {value}, []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            found.append(node)
    return found[::-1]


def _evaluate(model: Any, nodes: list[Any], source: Any, value: str, ids: NDArray[Any]) -> NDArray[Any]:
    import onnxruntime

    read = {name for node in nodes for name in node.input}
    answer = helper.make_tensor_value_info(value, source.type.tensor_type.elem_type, None)
    weights = [weight for weight in model.graph.initializer if weight.name in read]
    graph = helper.make_graph(nodes, "index", [source], [answer], weights)
    part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    session = onnxruntime.InferenceSession(part.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {source.name: ids})
    return np.asarray(found)


def _fold_constants(graph: Any, product: Any, weights: Mapping[str, Any]) -> None:
    kernel = numpy_helper.to_array(weights[product.input[1]]).astype(np.float64)
    if kernel.ndim != 2:
        return
    bias = np.zeros(kernel.shape[1])
    folded, last = [], product
    for node, constant in _constant_chain(graph, product, weights, kernel.shape[1]):
        if node.op_type == "Add":
            bias = bias + constant
        else:
            kernel, bias = kernel * constant, bias * constant
        folded.append(node)
        last = node
    if not folded:
        return
    names = [f"{product.output[0]}/{part}" for part in ("kernel", "bias")]
    for name, values in zip(names, (kernel, bias), strict=True):
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    gemm = helper.make_node("Gemm", [product.input[0], *names], list(last.output), name=product.name)
    position = list(graph.node).index(product)
    for node in [product, *folded]:
        graph.node.remove(node)
    graph.node.insert(position, gemm)


def _constant_chain(
    graph: Any, product: Any, weights: Mapping[str, Any], width: int
) -> Iterator[tuple[Any, NDArray[np.float64]]]:
    """The additions and multiplications by one number a column that follow a product and that nothing else reads."""
    answers = {value.name for value in graph.output}
    value = product.output[0]
    while value not in answers:
        readers = [node for node in graph.node if value in node.input]
        if len(readers) != 1 or readers[0].op_type not in ("Add", "Mul"):
            return
        (node,) = readers
        others = [name for name in node.input if name != value]
        if len(others) != 1 or others[0] not in weights:
            return
        constant = numpy_helper.to_array(weights[others[0]]).astype(np.float64)
        if constant.shape not in ((), (1,), (width,), (1, width)):
            return
        yield node, constant.reshape(-1)
        value = node.output[0]


def _prune(graph: Any) -> None:
    """Leave out what no answer needs."""
    wanted, kept = {value.name for value in graph.output}, []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept[::-1])
    weights = [weight for weight in graph.initializer if weight.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(weights)
