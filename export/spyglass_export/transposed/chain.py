"""A transposed convolution with the following nodes that run faster before its phases are joined."""

from __future__ import annotations

from dataclasses import dataclass

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.transposed.choice import is_faster_plain
from spyglass_export.transposed.head import Head, add_head, read_head
from spyglass_export.transposed.phases import add_phases, join_phases
from spyglass_export.transposed.readers import only_reader
from spyglass_export.transposed.reading import Transposed, Weights, read_transposed

# ONNX Runtime fuses these with the convolution before them.
_ACTIVATIONS = frozenset({"HardSigmoid", "LeakyRelu", "Relu", "Sigmoid", "Tanh"})


@dataclass(frozen=True, eq=False)
class Chain:
    """A transposed convolution, optionally an activation, and optionally a convolution to a few channels."""

    layer: Transposed
    activation: Node | None
    head: Head | None
    # Indices of its nodes in the graph's order.
    members: frozenset[int]

    def add(self, build: GraphBuilder) -> None:
        """Append nodes that compute the same tensor under the same name."""
        parts = add_phases(build, self.layer)
        if self.activation is not None:
            kind, attributes = self.activation.op_type, self.activation.attributes
            parts = [build.add(kind, part, **attributes) for part in parts]
        if self.head is not None:
            parts = [add_head(build, self.head, parts, self.layer.stride)]
        join_phases(build, parts, self.layer)
        build.nodes[-1].output[0] = self.output

    @property
    def output(self) -> str:
        """Name of the tensor that the last node computes."""
        if self.head is not None:
            return self.head.output
        return self.layer.output if self.activation is None else self.activation.outputs[0]


def find_chain(view: GraphView, weights: Weights, node: Node) -> Chain | None:
    """Return the chain that begins with `node`; None if a rewrite is not possible or not faster."""
    layer = read_transposed(view, weights, node)
    if layer is None:
        return None
    follower = only_reader(view, layer.output)
    activation = follower if follower is not None and follower.op_type in _ACTIVATIONS else None
    if activation is not None:
        follower = only_reader(view, activation.outputs[0])
    head = None if follower is None else read_head(follower, weights, layer)
    if not is_faster_plain(layer, with_head=head is not None):
        return None
    members = (node, activation, None if head is None else follower)
    return Chain(layer, activation, head, frozenset(each.index for each in members if each is not None))
