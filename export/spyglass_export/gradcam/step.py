"""One node of the reverse pass, as the rule of its operator sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.cotangent import Cotangent, multiply
from spyglass_export.gradcam.errors import UnsupportedHead
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.sizes import Sized
from spyglass_export.gradcam.weights import as_float32


@dataclass(frozen=True)
class Step:
    """What a rule is given: a node, the gradients of its outputs, and the means to write new nodes.

    `wanted` lists the inputs whose gradients are asked for; `gradients` maps outputs to theirs.
    """

    node: Node
    gradients: Mapping[int, Cotangent]
    wanted: Sequence[int]
    view: GraphView
    build: GraphBuilder

    @property
    def gradient(self) -> Cotangent:
        """The gradient of the first output."""
        return self.gradients[0]

    def input(self, index: int) -> Sized:
        """An input as float32 with its dimensions."""
        return self._read(self.node.inputs[index])

    def output(self, index: int = 0) -> Sized:
        """An output as float32 with its dimensions."""
        return self._read(self.node.outputs[index])

    def shape_of(self, index: int) -> Sized:
        """An input in its own type, for its dimensions."""
        return Sized(self.node.inputs[index], self.view.dims(self.node.inputs[index]))

    def times(self, slope: str) -> Mapping[int, Cotangent]:
        """What an operator of one number sends back: the gradient times its slope, of the output's shape."""
        return {0: multiply(self.build, self.gradient, Sized(slope, self.gradient.of.dims))}

    def has_input(self, index: int) -> bool:
        """Whether the node has an optional input."""
        return bool(self.node.input(index))

    def constant(self, index: int, what: str) -> npt.NDArray[Any]:
        """The value of an input that must be settled in the file. Raises UnsupportedHead."""
        value = self.view.constant(self.node.input(index))
        if value is None:
            raise self.unsupported(f"its {what} are computed when the model runs")
        return value

    def unsupported(self, why: str) -> UnsupportedHead:
        """The error that this node cannot be differentiated, and what can be done about it."""
        return unsupported(self.node, why)

    def _read(self, name: str) -> Sized:
        return Sized(as_float32(self.view, self.build, name), self.view.dims(name))


def unsupported(node: Node, why: str) -> UnsupportedHead:
    """The error that names a node and what to choose instead of its gradient."""
    return UnsupportedHead(
        f"no gradient through {node.label}: {why}. Choose a feature map behind it with feature_map=…, "
        "scores before it with scores=…, or method='eigencam', which needs no gradient",
        node=node.name or node.outputs[0],
        op_type=node.op_type,
    )
