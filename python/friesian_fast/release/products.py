"""The large products of an ONNX model: those that are worth fewer bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import UnsupportedRuntimeError
from friesian_fast.rank.model import LARGE_PRODUCT


class Product(NamedTuple):
    """One product with constant weights.

    Attributes
    ----------
    node : onnx.NodeProto
        A MatMul, or a Gemm that is a MatMul and the addition of its bias, if with its weights transposed.
    weights : array of float32, shape (k, n)
        As the MatMul takes them.
    bias : str
        The name of what is added; empty if nothing is.
    """

    node: Any
    weights: NDArray[np.float32]
    bias: str


def large_products(graph: Any) -> list[Product]:
    """Those of a graph, in its order.

    Raises
    ------
    UnsupportedRuntimeError
        If there is none.
    """
    from onnx import numpy_helper

    constants = {constant.name: constant for constant in graph.initializer}
    found = []
    for node in graph.node:
        if (
            node.op_type in ("Gemm", "MatMul")
            and _is_large(constants.get(node.input[1]))
            and _is_plain(node, constants)
        ):
            weights = numpy_helper.to_array(constants[node.input[1]])
            bias = node.input[2] if len(node.input) == 3 else ""
            found.append(Product(node, np.ascontiguousarray(weights.T) if is_transposed(node) else weights, bias))
    if not found:
        raise UnsupportedRuntimeError("the model has no product large enough to quantise")
    return found


def is_transposed(node: Any) -> bool:
    """Whether a Gemm's weights stand as (n, k); PyTorch exports them so."""
    return any(attribute.name == "transB" and attribute.i for attribute in node.attribute)


def _is_large(constant: Any) -> bool:
    from onnx import TensorProto

    return (
        constant is not None
        and constant.data_type == TensorProto.FLOAT
        and len(constant.dims) == 2
        and int(np.prod(constant.dims)) >= LARGE_PRODUCT
    )


def _is_plain(node: Any, constants: Mapping[str, Any]) -> bool:
    """Whether it is a product and at most one vector that is added, neither with a factor."""
    if node.op_type == "MatMul":
        return True
    factors = {attribute.name: attribute.f for attribute in node.attribute if attribute.name in ("alpha", "beta")}
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    if transposed or any(factor != 1 for factor in factors.values()):
        return False
    if len(node.input) < 3 or not node.input[2]:
        return True
    bias, outputs = constants.get(node.input[2]), constants[node.input[1]].dims[0 if is_transposed(node) else 1]
    return bias is not None and list(bias.dims) in ([outputs], [1, outputs])
