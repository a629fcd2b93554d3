"""The large products of an ONNX model: those that are worth fewer bits."""

from __future__ import annotations

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
        A MatMul, or a Gemm that is a MatMul and the addition of its bias.
    weights : array of float32, shape (k, n)
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

    weights = {constant.name: constant for constant in graph.initializer if _is_large(constant)}
    found = [
        Product(node, numpy_helper.to_array(weights[node.input[1]]), node.input[2] if node.op_type == "Gemm" else "")
        for node in graph.node
        if node.op_type in ("Gemm", "MatMul") and node.input[1] in weights and _is_plain(node)
    ]
    if not found:
        raise UnsupportedRuntimeError("the model has no product large enough to quantise")
    return found


def _is_large(constant: Any) -> bool:
    from onnx import TensorProto

    return (
        constant.data_type == TensorProto.FLOAT
        and len(constant.dims) == 2
        and int(np.prod(constant.dims)) >= LARGE_PRODUCT
    )


def _is_plain(node: Any) -> bool:
    return node.op_type == "MatMul" or (len(node.input) == 3 and not node.attribute)
