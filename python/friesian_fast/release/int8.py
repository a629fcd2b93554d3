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
from friesian_fast.release.graphs import Rows, graphs_in, run, taken_by, values_at
from friesian_fast.release.products import Product, large_products
from friesian_fast.release.rounding import rounded

_OWN = "com.microsoft"  # the domain of ONNX Runtime's own operators
_MOST_INPUTS = 4096  # of a product whose moments are looked at: their matrix is inverted
_SCORES, _BEST, _EXACT = HEAD_OUTPUTS
_OWN_NAMES = "friesian/"  # every tensor that is added is called so, and none of the model's
_ONE_DIMENSION, _LAST, _ZERO = (f"{_OWN_NAMES}{name}" for name in ("one_dimension", "last", "zero"))
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
        If no product is large enough, one takes more than a vector for each row, the model's opset is too old, or its
        head cannot be computed apart.
    """
    import onnx

    proto = onnx.load(model)
    nodes = proto.graph.node
    _check(proto)
    products = _in_int8(proto, requests)
    behind = _behind(nodes, products)
    score = proto.graph.output[0].name
    if all(score not in node.output for node in behind):
        raise UnsupportedRuntimeError("no large product has a part in the score")
    outside = _taken_from_elsewhere(behind, proto.graph)
    head = _Head(behind, outside, _by_row(proto, outside, requests), products)
    _require_apart(_with_head(proto, [*nodes, _flat(score, _SCORES)], head.nodes(score, exact=True)), requests)
    all_rows = [*_all_rows(nodes, products), *_doubted(score, sorted({product.of for product in products.values()}))]
    constants = [constant for product in products.values() for constant in product.constants]
    onnx.save(_with_head(proto, all_rows, head.nodes(score, exact=exact), constants), path)


def _check(proto: Any) -> None:
    """Refuse what is too old or uses our names; a constant that a caller might replace is one for good."""
    graph = proto.graph
    opset = next((opset.version for opset in proto.opset_import if opset.domain in ("", "ai.onnx")), 0)
    if opset < _LEAST_OPSET:
        raise UnsupportedRuntimeError(f"the model is of opset {opset}; int8 needs {_LEAST_OPSET}: export it again")
    names = taken_by(graph.node) | {name for node in graph.node for name in node.output}
    ours = sorted(name for name in names if name.startswith(_OWN_NAMES))
    if ours:
        raise UnsupportedRuntimeError(f"the model has a tensor '{ours[0]}'; names in '{_OWN_NAMES}' are those of int8")
    constants = {constant.name for constant in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(inputs)
    proto.ir_version = max(proto.ir_version, 4)  # the first that takes constants which are no inputs


def _with_head(proto: Any, all_rows: Iterable[Any], head: Iterable[Any], constants: Iterable[Any] = ()) -> Any:
    """The model whose nodes score all rows, and then the head."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [*all_rows, _node("TopK", [_SCORES, HEAD_INPUT], [f"{_BEST}/scores", _BEST], sorted=0), *head]
    used = taken_by(nodes)
    held = [constant for constant in proto.graph.initializer if constant.name in used]
    held += [*constants, *(numpy_helper.from_array(values, name) for name, values in _CONSTANTS.items())]
    model = onnx.ModelProto()
    model.CopyFrom(proto)
    graph = model.graph
    for field, values in ((graph.node, nodes), (graph.initializer, held), (graph.output, [])):
        del field[:]
        field.extend(values)
    graph.input.append(helper.make_tensor_value_info(HEAD_INPUT, TensorProto.INT64, [1]))
    for name, kind, rows in zip(HEAD_OUTPUTS, ("FLOAT", "INT64", "FLOAT"), ("rows", "head", "head"), strict=True):
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.DataType.Value(kind), [rows]))
    if all(opset.domain != _OWN for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_OWN, 1))
    return model


def _require_apart(model: Any, requests: Sequence[Rows]) -> None:
    """Refuse a model whose head has other scores alone than among all rows: a row's score depends on its neighbours."""
    most = max(requests, key=lambda rows: len(next(iter(rows.values()))))
    head = {HEAD_INPUT: np.array([min(3, len(next(iter(most.values()))))])}
    try:
        ((scores, best, alone),) = run(model, [{**most, **head}])
    except Exception as error:  # the runtime's exceptions have no common base but this
        raise UnsupportedRuntimeError(f"the model's head cannot be scored apart: {error}") from error
    if not np.allclose(alone, scores[best], rtol=1e-4, atol=1e-5, equal_nan=True):
        raise UnsupportedRuntimeError("a row's score depends on those beside it, so the head cannot be scored apart")


class _Int8Product:
    """A product's rounded weights, and the nodes that compute with them."""

    def __init__(self, product: Product, moments: NDArray[np.float32] | None) -> None:
        from onnx import numpy_helper

        name = product.node.output[0]
        self.of = product.node.input[0]
        self._weights, self._steps, self._bias = _own("weights", name), _own("steps", name), product.bias
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
        seen, left, more = (_own(part, rough) for part in ("seen", "left", "more"))
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
    outside : set of str
        Other tensors that these take.
    gathered : sequence of str
        Those of them that have a value for each row.
    products : mapping of str to _Int8Product
    """

    def __init__(
        self, behind: Sequence[Any], outside: set[str], gathered: Sequence[str], products: Mapping[str, _Int8Product]
    ) -> None:
        self._behind = behind
        self._outside = outside
        self._gathered = gathered
        self._products = products
        self._renamed = {name for node in behind for name in node.output} - {""} | set(gathered)

    def nodes(self, score: str, *, exact: bool) -> Iterator[Any]:
        """All, from the positions of the head to its scores; if `exact`, with the products as they were."""
        for name in self._gathered:
            yield _gather(name, self._name_of(name))
        for node in self._behind:
            if node.output[0] in self._products and not exact:
                yield from self._refined(node)
            else:
                yield self._copy(node)
        yield _flat(self._name_of(score), _EXACT)

    def _name_of(self, name: str) -> str:
        """What a tensor is called for the head's rows."""
        return _own("head", name) if name in self._renamed else name

    def _refined(self, node: Any) -> Iterator[Any]:
        name, of = node.output[0], self._name_of(node.input[0])
        into, rough = self._name_of(name), _own("rough", name)
        if of == node.input[0]:  # the same for all rows
            rough, parts = name, _parts(name)
        elif node.input[0] in self._outside:  # what was computed for all rows is there for these
            codes, *range_ = _parts(name)
            yield _gather(codes, _own("head", codes))
            yield _gather(name, rough)
            parts = [_own("head", codes), *range_]
        else:
            yield from self._products[name].nodes(of, rough)
            parts = _parts(rough)
        yield from self._products[name].refining(of, rough, parts, into)

    def _copy(self, node: Any) -> Any:
        import onnx

        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        self._rename(copy)
        return copy

    def _rename(self, node: Any) -> None:
        """What a node takes and gives, and what the graphs inside of it take from around them."""
        node.name = ""
        for names in (node.input, node.output):
            names[:] = [self._name_of(name) for name in names]
        for graph in graphs_in(node):
            for inner in graph.node:
                self._rename(inner)


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
        total, nothing = _own("total", name), _own("nothing", name)
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
    return [_own(part, name) for part in ("codes", "step", "zero")]


def _own(part: str, name: str) -> str:
    return f"{_OWN_NAMES}{part}/{name}"


def _behind(nodes: Iterable[Any], products: Mapping[str, Any]) -> list[Any]:
    """The products, and whatever is computed from what they answer."""
    found: list[Any] = []
    made: set[str] = set()
    for node in nodes:
        if node.output[0] in products or made & taken_by([node]):
            found.append(node)
            made.update(set(node.output) - {""})
    return found


def _taken_from_elsewhere(nodes: Sequence[Any], graph: Any) -> set[str]:
    """What these nodes take that neither they make nor the model holds."""
    return taken_by(nodes) - {constant.name for constant in graph.initializer}


def _in_int8(proto: Any, requests: Sequence[Rows]) -> dict[str, _Int8Product]:
    """The large products, by what they answer."""
    products = large_products(proto.graph)
    moments: dict[str, NDArray[np.float32]] = {}
    for values in values_at(proto, sorted({product.node.input[0] for product in products}), requests):
        for name, array in values.items():
            if array.ndim != 2:
                raise UnsupportedRuntimeError(f"'{name}', which a large product takes, has {array.ndim} dimensions")
            if array.shape[1] <= _MOST_INPUTS:
                with np.errstate(over="ignore", invalid="ignore"):  # then they say nothing, and `rounded` looks
                    moments[name] = moments.get(name, 0) + array.T @ array
    return {product.node.output[0]: _Int8Product(product, moments.get(product.node.input[0])) for product in products}


def _by_row(proto: Any, names: Iterable[str], requests: Sequence[Rows]) -> list[str]:
    """Those of some tensors that have a value for each row; the others must not follow the number of rows."""
    sizes = (3, 5)
    resized = [{name: np.resize(array, (n, *array.shape[1:])) for name, array in requests[0].items()} for n in sizes]
    few, more = values_at(proto, sorted(names), resized)
    found = []
    for name, array in few.items():
        if (array.shape[:1], more[name].shape[:1], array.shape[1:]) == ((3,), (5,), more[name].shape[1:]):
            found.append(name)
        elif array.shape != more[name].shape or (array.dtype.kind == "i" and (array != more[name]).any()):
            raise UnsupportedRuntimeError(f"'{name}' follows the number of rows, but has no value for each row")
    return found
