"""The tensors through which an image influences other tensors.

A path from the image to the scores goes through real numbers, or through the integers that stand for them:
the bytes of the image, and the sums of a quantised network. Shapes, indices and comparisons are int64 or
boolean; they carry no gradient, so no path goes through them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from onnx import TensorProto

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.tensor_types import FLOATING

_INTEGERS = frozenset(
    {TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16, TensorProto.INT32}
)
# The number of places of a tensor, or the places of its largest numbers: no function of its numbers.
_OF_SHAPE = frozenset({"ArgMax", "ArgMin", "NonZero", "Shape", "Size"})


class Flow:
    """The tensors that carry the image, in topological order.

    `order` holds the names, the image first; `read_by(name)` and `computed_from(name)` are the edges.
    """

    def __init__(self, view: GraphView) -> None:
        self.view = view
        weights = {tensor.name for tensor in view.model.graph.initializer}
        inputs = [value.name for value in view.model.graph.input if value.name not in weights]
        self.order = [name for name in inputs if self._may_carry(name)]
        self.images = tuple(self.order)
        self._carrying = set(self.order)
        for node in view.nodes:
            if node.op_type not in _OF_SHAPE and self._carrying.intersection(node.reads):
                found = [name for name in node.outputs if name and self._may_carry(name)]
                self.order.extend(found)
                self._carrying.update(found)

    def carries(self, name: str) -> bool:
        """Return whether the numbers of a tensor depend on those of the image."""
        return name in self._carrying

    def read_by(self, name: str) -> list[str]:
        """Return the tensors that a node computes from `name` and that carry the image."""
        nodes = [node for node in self.view.consumers.get(name, ()) if node.op_type not in _OF_SHAPE]
        return self._kept(output for node in nodes for output in node.outputs)

    def computed_from(self, name: str) -> list[str]:
        """Return the tensors that carry the image and that the node of `name` reads."""
        node = self.view.producers.get(name)
        return [] if node is None else self.inputs_of(node)

    def inputs_of(self, node: Node) -> list[str]:
        """Return the tensors that carry the image and that a node reads, also inside its own graphs."""
        return [] if node.op_type in _OF_SHAPE else self._kept(node.reads)

    def behind(self, tensors: Iterable[str], without: Collection[str] = ()) -> set[str]:
        """Return the tensors that depend on some of `tensors`, these included, not through `without`."""
        return _closure(tensors, self.read_by, without)

    def before(self, tensors: Iterable[str], without: Collection[str] = ()) -> set[str]:
        """Return the tensors that some of `tensors` depend on, these included, not through `without`."""
        return _closure(tensors, self.computed_from, without)

    def _kept(self, names: Iterable[str]) -> list[str]:
        return [name for name in dict.fromkeys(names) if name in self._carrying]

    def _may_carry(self, name: str) -> bool:
        element = self.view.element(name)
        # A value without an element type is no tensor, such as a sequence of tensors.
        return not element or element in FLOATING or element in _INTEGERS


def _closure(tensors: Iterable[str], step: Callable[[str], list[str]], without: Collection[str]) -> set[str]:
    found = set(tensors).difference(without)
    waiting = list(found)
    while waiting:
        new = set(step(waiting.pop())).difference(found, without)
        found |= new
        waiting.extend(new)
    return found
