"""Makes room for a name that a graph uses for something else."""

from __future__ import annotations

from collections.abc import MutableSequence

import onnx


def rename_tensor(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Calls the tensor `old` of a graph, wherever it is made or read, `new`, in place."""
    for values in (graph.input, graph.output, graph.initializer, graph.value_info):
        for value in values:
            if value.name == old:
                value.name = new
    for node in graph.node:
        _replace(node.input, old, new)
        _replace(node.output, old, new)
        for attribute in node.attribute:
            # The branches of an If and the body of a Loop read what lies outside of them.
            for inner in (attribute.g, *attribute.graphs):
                rename_tensor(inner, old, new)


def _replace(names: MutableSequence[str], old: str, new: str) -> None:
    for index, name in enumerate(names):
        if name == old:
            names[index] = new
