"""What the nodes of an ONNX graph take, also through the graphs inside of them (If, Loop, Scan), and what they give."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

Rows = Mapping[str, NDArray[Any]]


def graphs_in(node: Any) -> Iterator[Any]:
    """The graphs that a node runs."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def taken_by(nodes: Iterable[Any]) -> set[str]:
    """The names of what some nodes take and none of them makes."""
    taken, made = {""}, {""}
    for node in nodes:
        taken.update(node.input)
        made.update(node.output)
        for graph in graphs_in(node):
            held = {value.name for values in (graph.input, graph.initializer) for value in values}
            taken |= taken_by(graph.node) - held
    return taken - made


def values_at(model: Any, names: Sequence[str], requests: Iterable[Rows]) -> Iterator[dict[str, NDArray[Any]]]:
    """What stands at some places of a model when it answers."""
    import onnx

    given = {value.name for value in model.graph.input}
    asked = [name for name in names if name not in given]
    asking = onnx.ModelProto()
    asking.CopyFrom(model)
    del asking.graph.output[:]
    asking.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in asked)
    requests = list(requests)
    answers = run(asking, requests) if asked else ([] for _ in requests)
    for rows, found in zip(requests, answers, strict=True):
        yield dict(zip(asked, found, strict=True)) | {name: rows[name] for name in names if name in given}


def run(model: Any, requests: Iterable[Rows]) -> Iterator[list[NDArray[Any]]]:
    """What a model answers."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it advises at length on what publish does not change
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for rows in requests:
        yield session.run(None, dict(rows))
