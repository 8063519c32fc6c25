"""One node of the reverse pass, in the form that the rule of its operator takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.cotangent import Cotangent, multiply
from spyglass_export.gradcam.errors import UnsupportedHead
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.sizes import Sized, batch_axis
from spyglass_export.gradcam.weights import as_float32


@dataclass(frozen=True)
class Step:
    """The argument of a rule: a node, the gradients of its outputs, and a builder for new nodes.

    `gradients` maps the index of each output to its gradient; `required` lists the inputs that need a
    gradient.
    """

    node: Node
    gradients: Mapping[int, Cotangent]
    required: Sequence[int]
    view: GraphView
    build: GraphBuilder

    @property
    def gradient(self) -> Cotangent:
        """Gradient of the first output."""
        return self.gradients[0]

    def input(self, index: int) -> Sized:
        """Return an input as float32 with its dimensions."""
        return self._read(self.node.inputs[index])

    def output(self, index: int = 0) -> Sized:
        """Return an output as float32 with its dimensions."""
        return self._read(self.node.outputs[index])

    def shape_of(self, index: int) -> Sized:
        """Return an input in its own type, for its dimensions."""
        return Sized(self.node.inputs[index], self.view.dims(self.node.inputs[index]))

    def times(self, slope: str) -> Mapping[int, Cotangent]:
        """Return the gradient times `slope`, the slope of an elementwise operator in the output's shape."""
        return {0: multiply(self.build, self.gradient, Sized(slope, self.gradient.of.dims))}

    def keep_images_apart(self, tensor: Sized, axes: Collection[int]) -> None:
        """Raise UnsupportedHead if the axis of the batch of a tensor is one of `axes`."""
        batch = batch_axis(tensor.dims)
        if batch in axes and tensor.dims.count(None) > 1:
            # Height and width are free too, so the sizes alone do not tell which axis is the batch's.
            batch = self.view.image_axes([tensor.name])[tensor.name]
            if batch is None:
                raise self.unsupported("it may mix the images of a batch: the graph states too few sizes")
        if batch in axes:
            raise self.unsupported("it mixes the images of a batch")

    def known_size(self, tensor: Sized, axis: int) -> int:
        """Return the size of a tensor along an axis that is not the batch's. Raises UnsupportedHead."""
        size = tensor.dims[axis]
        if size is None and batch_axis(tensor.dims) == axis and tensor.dims.count(None) == 1:
            raise self.unsupported("it mixes the images of a batch")
        if size is None:
            raise self.unsupported(f"the size of '{tensor.name}' along axis {axis} is known only at run time")
        return size

    def has_input(self, index: int) -> bool:
        """Return whether the node has an optional input."""
        return bool(self.node.input(index))

    def constant(self, index: int, what: str) -> npt.NDArray[Any]:
        """Return the value of an input that must be constant. Raises UnsupportedHead if it is not."""
        value = self.view.constant(self.node.input(index))
        if value is None:
            raise self.unsupported(f"its {what} must be constant, but the model computes them at run time")
        return value

    def unsupported(self, why: str) -> UnsupportedHead:
        """Return the error for this node: it cannot be differentiated, because of `why`."""
        return unsupported(self.node, why)

    def _read(self, name: str) -> Sized:
        return Sized(as_float32(self.view, self.build, name), self.view.dims(name))


def unsupported(node: Node, why: str) -> UnsupportedHead:
    """Return the error that a node cannot be differentiated, because of `why`."""
    return UnsupportedHead(
        f"no gradient through {node.label}: {why}",
        node=node.name or node.outputs[0],
        op_type=node.op_type,
    )
