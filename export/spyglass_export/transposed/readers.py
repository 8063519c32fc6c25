"""Readers of a tensor, including those inside branches and loops."""

from __future__ import annotations

import onnx

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node


def only_reader(view: GraphView, name: str) -> Node | None:
    """Return the only reader of a tensor; None if there are several, or if the tensor is an output."""
    readers = view.consumers[name]
    elsewhere = {*view.outputs, *_read_inside(view.model.graph)}
    return readers[0] if len(readers) == 1 and name not in elsewhere else None


def names_read(graph: onnx.GraphProto) -> set[str]:
    """Return the tensors that nodes of a graph or its inner graphs read, and the outputs of these graphs."""
    read = {name for node in graph.node for name in node.input}
    return read | {value.name for value in graph.output} | _read_inside(graph)


def _read_inside(graph: onnx.GraphProto) -> set[str]:
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    inner = [each for attribute in attributes for each in (attribute.g, *attribute.graphs)]
    return set().union(*map(names_read, inner))
