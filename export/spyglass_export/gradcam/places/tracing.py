"""The trace: the places of every tensor of a graph, node by node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import numpy_helper

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.places.call import Call, Untraceable
from spyglass_export.gradcam.places.entry import entry
from spyglass_export.gradcam.places.located import Shape
from spyglass_export.gradcam.places.operators import follow
from spyglass_export.gradcam.places.shapes import ShapeInference
from spyglass_export.gradcam.places.traced import Traced, traced_nowhere
from spyglass_export.gradcam.places.values import Values

# What numpy raises for shapes and indices that do not fit.
_MISFITS = (Untraceable, ValueError, IndexError, TypeError, OverflowError)


@dataclass(frozen=True)
class Trace:
    """What is known about the tensors of a graph, for a batch of `images`.

    `tensors` lacks those that the trace cannot follow.
    """

    images: int
    tensors: Mapping[str, Traced]


def trace(view: GraphView) -> Trace:
    """Trace a graph, for two images if its batch is free: two show which axis of a tensor holds the batch."""
    tracer = _Tracer(view)
    tensors = tracer.run()
    return Trace(tracer.images, tensors)


class _Tracer:
    def __init__(self, view: GraphView) -> None:
        self._view = view
        self._values = Values(view.opset)
        self._shapes = ShapeInference(view)
        self._found: dict[str, Traced] = {}

    @property
    def images(self) -> int:
        """The number of images in the batch of the trace."""
        return self._shapes.images

    def run(self) -> Mapping[str, Traced]:
        graph = self._view.model.graph
        for tensor in graph.initializer:
            value = numpy_helper.to_array(tensor) if self._values.are_kept(tensor) else None
            self._found[tensor.name] = traced_nowhere(tuple(tensor.dims), value)
        for value_info in graph.input:
            if value_info.name not in self._found and (found := entry(self._view, value_info)) is not None:
                self._found[value_info.name] = found
                if found.places.grid is not None:
                    self._shapes.images = found.shape[0]
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
            if name and _agrees(output.shape, self._view, name):
                self._found[name] = output

    def _outputs(self, node: Node) -> list[Traced]:
        inputs = [self._found[name] if name else None for name in node.inputs]
        values = self._values.of(node, self._view.model.graph.node[node.index], inputs)
        if values is not None:
            return [traced_nowhere(np.shape(value), self._values.kept(value)) for value in values]
        depends = [self._view.is_fed(name) for name in node.inputs]
        call = Call(node, inputs, depends, self._view.opset, lambda: self._shapes.of(node, inputs))
        return follow(call)


def _agrees(shape: Shape, view: GraphView, name: str) -> bool:
    """Return whether a shape is the one that the graph states, as far as it does."""
    if (rank := view.rank(name)) is None:
        return True
    return rank == len(shape) and all(
        stated in (None, size) for stated, size in zip(view.dims(name), shape, strict=True)
    )
