"""What the nodes of an ONNX graph take, also through the graphs inside of them (If, Loop, Scan)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


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
