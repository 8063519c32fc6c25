"""The trace: the places of every tensor of a graph, node by node."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import numpy_helper

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.places.call import Call, Untraceable
from spyglass_export.gradcam.places.entry import entry
from spyglass_export.gradcam.places.operators import follow
from spyglass_export.gradcam.places.shapes import ShapeInference
from spyglass_export.gradcam.places.traced import Traced, traced_nowhere
from spyglass_export.gradcam.places.values import Values

# What numpy raises for shapes and indices that do not fit.
_MISFITS = (Untraceable, ValueError, IndexError, TypeError, OverflowError)


def trace(view: GraphView) -> Mapping[str, Traced]:
    """Return what is known about the tensors of a graph, for a batch of two images if the batch is free.

    Two images show which axis holds the batch. Tensors that the trace cannot follow are missing.
    """
    return _Trace(view).run()


class _Trace:
    def __init__(self, view: GraphView) -> None:
        self._view = view
        self._values = Values(view.opset)
        self._shapes = ShapeInference(view)
        self._found: dict[str, Traced] = {}

    def run(self) -> Mapping[str, Traced]:
        graph = self._view.model.graph
        for tensor in graph.initializer:
            value = numpy_helper.to_array(tensor) if self._values.are_kept(tensor) else None
            self._found[tensor.name] = traced_nowhere(tuple(tensor.dims), value)
        for value_info in graph.input:
            if value_info.name not in self._found and (found := entry(self._view, value_info)) is not None:
                self._found[value_info.name] = found
        for node in self._view.nodes:
            self._follow(node)
        return self._found

    def _follow(self, node: Node) -> None:
        if any(name and name not in self._found for name in node.inputs):
            return
        try:
            outputs = self._outputs(node)
        except _MISFITS:
            return
        for name, output in zip(node.outputs, outputs, strict=False):
            if name and self._view.agrees(name, output):
                self._found[name] = output

    def _outputs(self, node: Node) -> list[Traced]:
        inputs = [self._found[name] if name else None for name in node.inputs]
        values = self._values.of(node, self._view.model.graph.node[node.index], inputs)
        if values is not None:
            return [traced_nowhere(np.shape(value), self._values.kept(value)) for value in values]
        depends = [self._view.is_fed(name) for name in node.inputs]
        call = Call(node, inputs, depends, lambda: self._shapes.of(node, inputs))
        return follow(call)
