"""A ranker in int8 for ONNX Runtime: all rows with few bits and, in the same run, the best of them with more.

The large products take their inputs in 8 bits, whose range each call finds. Most of what an answer would notice is the
rounding of these inputs, so for the head of a request the product of what rounding left is added. The weights are
rounded once, here, with regard to the inputs that real requests bring (`rounding.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import UnsupportedRuntimeError
from friesian_fast.rank.onnx import HEAD_INPUT, HEAD_OUTPUTS
from friesian_fast.release.products import Product, large_products
from friesian_fast.release.rounding import rounded

Rows = Mapping[str, NDArray[Any]]

_OWN = "com.microsoft"  # the domain of ONNX Runtime's own operators
_MOST_INPUTS = 4096  # of a product whose moments are looked at: their matrix is inverted
_SCORES, _BEST, _EXACT = HEAD_OUTPUTS
_ONE_DIMENSION, _LAST, _ZERO = "friesian/one_dimension", "friesian/last", "friesian/zero"
_CONSTANTS = {_ONE_DIMENSION: np.array([-1]), _LAST: np.array([1]), _ZERO: np.zeros(1, np.float32)}
_LEAST_OPSET = 13  # from which ReduceSum takes its axes as an input


def write_int8(model: Path, path: Path, requests: Sequence[Rows], *, exact: bool) -> None:
    """Write the model of `OnnxHeadRanker`.

    Parameters
    ----------
    model : Path
        The ranker as it was exported.
    path : Path
    requests : sequence of mapping of str to array
        Real inputs.
    exact : bool
        Score the head in fp32, as the exported model does.

    Raises
    ------
    UnsupportedRuntimeError
        If no product is large enough, one takes more than a vector for each row, or the model's opset is too old.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    proto = onnx.load(model)
    graph = proto.graph
    opset = next((opset.version for opset in proto.opset_import if opset.domain in ("", "ai.onnx")), 0)
    if opset < _LEAST_OPSET:
        raise UnsupportedRuntimeError(f"the model is of opset {opset}; int8 needs {_LEAST_OPSET}: export it again")
    products = _in_int8(proto, requests)
    behind = _behind(graph.node, products)
    head = _Head(behind, _taken_by(behind, graph), products, exact)
    gathered = _by_row(proto, head.outside, requests)
    score = graph.output[0].name
    nodes = [
        *_all_rows(graph.node, products),
        *_doubted(score, sorted({product.of for product in products.values()})),
        _node("TopK", [_SCORES, HEAD_INPUT], [f"{_BEST}/scores", _BEST], sorted=0),
        *head.nodes(gathered),
        _flat(head.name_of(score), _EXACT),
    ]
    used = {name for node in nodes for name in node.input}
    constants = [constant for constant in graph.initializer if constant.name in used]
    constants += [constant for product in products.values() for constant in product.constants]
    constants += [numpy_helper.from_array(values, name) for name, values in _CONSTANTS.items()]
    for field, values in ((graph.node, nodes), (graph.initializer, constants)):
        del field[:]
        field.extend(values)
    del graph.output[:]
    graph.input.append(helper.make_tensor_value_info(HEAD_INPUT, TensorProto.INT64, [1]))
    for name, kind, rows in zip(HEAD_OUTPUTS, ("FLOAT", "INT64", "FLOAT"), ("rows", "head", "head"), strict=True):
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.DataType.Value(kind), [rows]))
    if all(opset.domain != _OWN for opset in proto.opset_import):
        proto.opset_import.append(helper.make_opsetid(_OWN, 1))
    onnx.save(proto, path)


class _Int8Product:
    """A product's rounded weights, and the nodes that compute with them."""

    def __init__(self, product: Product, moments: NDArray[np.float32] | None) -> None:
        from onnx import numpy_helper

        name = product.node.output[0]
        self.of = product.node.input[0]
        self._weights, self._steps, self._bias = f"{name}/weights", f"{name}/steps", product.bias
        codes, steps = rounded(product.weights, moments)
        self.constants = [numpy_helper.from_array(codes, self._weights), numpy_helper.from_array(steps, self._steps)]

    def nodes(self, of: str, into: str) -> Iterator[Any]:
        """The product of a tensor, whose `_parts` stand beside the answer."""
        codes, step, zero = _parts(into)
        yield _node("DynamicQuantizeLinear", [of], [codes, step, zero])
        inputs = [codes, self._weights, step, self._steps, zero, "", self._bias]
        yield _node("MatMulIntegerToFloat", inputs, [into], domain=_OWN)

    def refining(self, of: str, rough: str, parts: Sequence[str], into: str) -> Iterator[Any]:
        """`rough`, the product of what `parts` say of a tensor, and the product of what they left of it."""
        seen, left, more = (f"{into}/{part}" for part in ("seen", "left", "more"))
        yield _node("DequantizeLinear", parts, [seen])
        yield _node("Sub", [of, seen], [left])
        yield _node("DynamicQuantizeMatMul", [left, self._weights, self._steps], [more], domain=_OWN)
        yield _node("Add", [rough, more], [into])


class _Head:
    """The nodes behind the products once more, for the head's rows.

    Parameters
    ----------
    behind : sequence of NodeProto
        The products, and whatever is computed from what they answer.
    outside : sequence of str
        Other tensors that these take.
    products : mapping of str to _Int8Product
    exact : bool
    """

    def __init__(
        self, behind: Sequence[Any], outside: Sequence[str], products: Mapping[str, _Int8Product], exact: bool
    ) -> None:
        self.outside = outside
        self._behind = behind
        self._products = products
        self._exact = exact
        self._renamed = {name for node in behind for name in node.output}

    def name_of(self, name: str) -> str:
        """What a tensor is called for the head's rows."""
        return f"{name}/head" if name in self._renamed else name

    def nodes(self, gathered: Iterable[str]) -> Iterator[Any]:
        """All; `gathered` are those of `outside` that have a value for each row."""
        self._renamed.update(gathered)
        for name in gathered:
            yield _gather(name, self.name_of(name))
        for node in self._behind:
            if node.output[0] in self._products and not self._exact:
                yield from self._refined(node)
            else:
                yield self._copy(node)

    def _refined(self, node: Any) -> Iterator[Any]:
        name, of = node.output[0], self.name_of(node.input[0])
        into, rough = self.name_of(name), f"{name}/rough"
        if node.input[0] in self.outside:  # what was computed for all rows is there for these
            codes, *range_ = _parts(name)
            yield _gather(codes, f"{codes}/head")
            yield _gather(name, rough)
            parts = [f"{codes}/head", *range_]
        else:
            yield from self._products[name].nodes(of, rough)
            parts = _parts(rough)
        yield from self._products[name].refining(of, rough, parts, into)

    def _copy(self, node: Any) -> Any:
        import onnx

        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = ""
        for names in (copy.input, copy.output):
            names[:] = [self.name_of(name) for name in names]
        return copy


def _all_rows(nodes: Iterable[Any], products: Mapping[str, _Int8Product]) -> Iterator[Any]:
    for node in nodes:
        product = products.get(node.output[0])
        if product is None:
            yield node
        else:
            yield from product.nodes(node.input[0], node.output[0])


def _doubted(score: str, taken: Sequence[str]) -> Iterator[Any]:
    """Scores that are NaN where a product takes NaN or infinity, of which no code tells."""
    scores = [*(f"{_SCORES}/{number}" for number in range(len(taken))), _SCORES]
    yield _flat(score, scores[0])
    for name, (before, after) in zip(taken, pairwise(scores), strict=True):
        total, nothing = f"{name}/total", f"{name}/nothing"
        yield _node("ReduceSum", [name, _LAST], [total], keepdims=0)
        yield _node("Mul", [total, _ZERO], [nothing])
        yield _node("Add", [before, nothing], [after])


def _flat(name: str, into: str) -> Any:
    return _node("Reshape", [name, _ONE_DIMENSION], [into])


def _gather(name: str, into: str) -> Any:
    return _node("Gather", [name, _BEST], [into], axis=0)


def _node(kind: str, inputs: Sequence[str], outputs: Sequence[str], **rest: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, inputs, outputs, **rest)


def _parts(name: str) -> list[str]:
    """What a product's inputs became: codes, step and zero."""
    return [f"{name}/{part}" for part in ("codes", "step", "zero")]


def _behind(nodes: Iterable[Any], products: Mapping[str, Any]) -> list[Any]:
    """The products, and whatever is computed from what they answer."""
    found: list[Any] = []
    made: set[str] = set()
    for node in nodes:
        if node.output[0] in products or made.intersection(node.input):
            found.append(node)
            made.update(node.output)
    return found


def _taken_by(nodes: Sequence[Any], graph: Any) -> list[str]:
    """What these nodes take that neither they make nor the model holds."""
    known = {name for node in nodes for name in node.output} | {constant.name for constant in graph.initializer} | {""}
    return sorted({name for node in nodes for name in node.input} - known)


def _in_int8(proto: Any, requests: Sequence[Rows]) -> dict[str, _Int8Product]:
    """The large products, by what they answer."""
    products = large_products(proto.graph)
    moments: dict[str, NDArray[np.float32]] = {}
    for values in _values(proto, sorted({product.node.input[0] for product in products}), requests):
        for name, array in values.items():
            if array.ndim != 2:
                raise UnsupportedRuntimeError(f"'{name}', which a large product takes, has {array.ndim} dimensions")
            if array.shape[1] <= _MOST_INPUTS:
                moments[name] = moments.get(name, 0) + array.T @ array
    return {product.node.output[0]: _Int8Product(product, moments.get(product.node.input[0])) for product in products}


def _by_row(proto: Any, names: Sequence[str], requests: Sequence[Rows]) -> list[str]:
    """Those of some tensors that have a value for each row."""
    sizes = (3, 5)
    resized = [{name: np.resize(array, (n, *array.shape[1:])) for name, array in requests[0].items()} for n in sizes]
    shapes = [{name: values[name].shape[:1] for name in names} for values in _values(proto, names, resized)]
    return [name for name in names if all(found[name] == (n,) for found, n in zip(shapes, sizes, strict=True))]


def _values(proto: Any, names: Sequence[str], requests: Iterable[Rows]) -> Iterator[dict[str, NDArray[Any]]]:
    """What stands at some places of a model when it answers."""
    import onnx
    import onnxruntime

    given = {value.name for value in proto.graph.input}
    asked = [name for name in names if name not in given]
    model = onnx.ModelProto()
    model.CopyFrom(proto)
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in asked)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for rows in requests:
        found = session.run(asked, dict(rows)) if asked else []
        yield dict(zip(asked, found, strict=True)) | {name: rows[name] for name in names if name in given}
