"""Cuts a model in two, so that OpenVINO rounds no more of it than the large products.

A compiled model has one precision, and of the products none can be left out. bf16 for all of them rounds the features
themselves on one side and the last sum, the logit, on the other; both move the ranks more than the large products do.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from friesian_fast.rank.model import LARGE_PRODUCT


def split_at_large_product(model: Any) -> tuple[Any, Any] | None:
    """Cut before the first large product; `model` is used up.

    Parameters
    ----------
    model : openvino.Model

    Returns
    -------
    (openvino.Model, openvino.Model) or None
        What comes before, for fp32: its outputs are the other's inputs, in order. What comes from there on, for bf16:
        a product with a single column has become a sum, which OpenVINO leaves in fp32 at a model's end. None if the
        model has no large product.
    """
    from openvino import Model, opset13

    nodes = model.get_ordered_ops()
    first = next((node for node in nodes if _is_large_product(node)), None)
    if first is None:
        return None
    live = _reached(nodes, [node for node in nodes if node.get_type_name() == "Parameter"])
    after = _reached(nodes, [first])
    cut: dict[tuple[int, int], tuple[Any, Any]] = {}
    for node in nodes:
        for entry in node.inputs() if _key(node) in after else ():
            source = entry.get_source_output()
            if _key(source.get_node()) in after or _key(source.get_node()) not in live:
                continue
            place = (_key(source.get_node()), source.get_index())
            if place not in cut:
                cut[place] = source, opset13.parameter(source.get_partial_shape(), source.get_element_type())
            entry.replace_source_output(cut[place][1].output(0))
    for node in nodes:
        if _key(node) in after and _columns(node) == 1:
            _sum_instead(node)
    head = Model([opset13.result(source) for source, _ in cut.values()], model.get_parameters(), "head")
    return head, Model(model.get_results(), [parameter for _, parameter in cut.values()], "tail")


def _key(node: Any) -> int:
    """Of the node, not of the Python object that stands for it; names are not unique."""
    return int(node.get_instance_id())


def _reached(nodes: list[Any], start: list[Any]) -> set[int]:
    """The nodes that these feed, and these; `nodes` are in the order in which they run."""
    found = {_key(node) for node in start}
    for node in nodes:
        if any(_key(entry.get_source_output().get_node()) in found for entry in node.inputs()):
            found.add(_key(node))
    return found


def _weights(node: Any) -> Any:
    """The constant that a product multiplies by, or None."""
    if node.get_type_name() != "MatMul":
        return None
    source = node.input_value(1).get_node()
    return source if source.get_type_name() == "Constant" else None


def _is_large_product(node: Any) -> bool:
    weights = _weights(node)
    return weights is not None and math.prod(weights.get_output_shape(0)) >= LARGE_PRODUCT


def _columns(node: Any) -> int:
    """How many columns a product of two matrices has; 0 if the node is none."""
    weights = _weights(node)
    if weights is None or len(weights.get_output_shape(0)) != 2 or node.get_attributes()["transpose_a"]:
        return 0
    return int(weights.get_output_shape(0)[0 if node.get_attributes()["transpose_b"] else 1])


def _sum_instead(product: Any) -> None:
    from openvino import opset13

    weights = opset13.constant(_weights(product).get_data().reshape(1, -1))
    products = opset13.multiply(product.input_value(0), weights)
    total = opset13.reduce_sum(products, opset13.constant(np.array([1], np.int64)), keep_dims=True)
    for reader in product.output(0).get_target_inputs():
        reader.replace_source_output(total.output(0))
