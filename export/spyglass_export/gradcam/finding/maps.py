"""The tensors of a graph that are feature maps: numbers at the places of a grid over the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from weakref import WeakKeyDictionary

from spyglass_export.gradcam.finding.assumed import assumed_placement
from spyglass_export.gradcam.finding.flow import Flow
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.passing import TRANSPARENT
from spyglass_export.gradcam.places import Placement, Places

# The outputs of these operators hold the numbers of their input, at other positions or in another type.
MOVING = TRANSPARENT | {"Transpose"}
# The outputs of these hold numbers of their input too: some of them, pooled, or with others beside them.
_REPEATING = MOVING | {
    "AveragePool",
    "Expand",
    "Gather",
    "GatherElements",
    "GatherND",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "LpPool",
    "MaxPool",
    "Pad",
    "Slice",
}
# With fewer places than their input, these are a pooling that is spelled out.
_POOLING = frozenset({"ReduceMax", "ReduceMean", "ReduceMin"})
# These bring the windows of such a pooling into axes of their own.
_WINDOWING = MOVING | {"Gather", "GatherElements", "GatherND", "Pad", "Slice"}


@dataclass(frozen=True)
class Located:
    """A tensor whose numbers lie at the places of a grid; `assumed` says whether an operator hides that."""

    tensor: str
    placement: Placement
    assumed: bool = False

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width, in places."""
        return self.placement.height, self.placement.width


class Maps:
    """Looks up which tensors of a graph are feature maps.

    The places of a graph are found once, because an error tries several choices on one graph.
    """

    _known: ClassVar[WeakKeyDictionary[GraphView, Places]] = WeakKeyDictionary()

    def __init__(self, view: GraphView, flow: Flow) -> None:
        self._view, self._flow = view, flow
        self._places = self._known.setdefault(view, Places(view))

    def at(self, tensor: str, *, named: bool = False) -> Located | None:
        """Return a tensor with its places, None if it is not a feature map.

        A feature map holds real numbers, at more than one place along both sides. Unless it was `named`, an
        operator with weights has computed them.
        """
        if not self._flow.carries(tensor) or not self._view.is_real(tensor):
            return None
        found, assumed = self._places.placement(tensor), False
        if found is None and not self._places.is_traced(tensor):
            found, assumed = assumed_placement(self._view, tensor), True
        if found is None or (found.of_pixels and not named) or min(found.height, found.width) < 2:
            return None
        return Located(tensor, found, assumed)

    def has_places(self, tensor: str) -> bool:
        """Return whether some numbers of a tensor have a place of their own, True if this is unknown."""
        return self._places.has_places(tensor)

    def repeats(self, found: Located) -> bool:
        """Return whether a map only repeats the features of an earlier tensor.

        For a quantised map the dequantised tensor counts as the map: reading the tensor before the quantiser
        would keep ONNX Runtime from computing the previous operator in integers.
        """
        node = self._view.producers[found.tensor]
        if node.op_type == "DequantizeLinear":
            quantiser = self._view.producers.get(node.inputs[0])
            source = None if quantiser is None else self._view.producers.get(quantiser.inputs[0])
            if source is None:
                return True
            node = source
        return (
            node.op_type in _REPEATING
            or self._pools(node, found)
            or self._joins_tokens(node, found)
            or self._adds_positions(node)
        )

    def before_moves(self, tensor: str, first: str = "") -> str:
        """Return the tensor whose numbers `tensor` holds, searching back to `first`."""
        while tensor != first and (node := self._view.producers.get(tensor)) is not None:
            if node.op_type not in MOVING:
                break
            tensor = node.inputs[0]
        return tensor

    def _pools(self, node: Node, found: Located) -> bool:
        """Return whether a node pools windows of a map with more places, as exporters spell poolings out."""
        if node.op_type not in _POOLING:
            return False
        tensor = node.inputs[0]
        while (finer := self.at(tensor)) is None and (before := self._view.producers.get(tensor)) is not None:
            if before.op_type not in _WINDOWING:
                return False
            tensor = before.inputs[0]
        if finer is None or finer.placement.channels != found.placement.channels:
            return False
        return finer.placement.height * finer.placement.width > found.placement.height * found.placement.width

    def _joins_tokens(self, node: Node, found: Located) -> bool:
        """Return whether a node puts tokens of no place, such as a class token, beside those of a map."""
        if node.op_type != "Concat":
            return False
        parts = [part for name in node.inputs if (part := self.at(name)) is not None]
        return len(parts) == 1 and parts[0].placement.channels == found.placement.channels

    def _adds_positions(self, node: Node) -> bool:
        """Return whether a node adds a constant that varies with the place: an embedding of positions."""
        if node.op_type not in ("Add", "Sub"):
            return False
        constants = [name for name in node.inputs if not self._view.is_fed(name)]
        return any(sum(size != 1 for size in self._view.dims(name)) > 1 for name in constants)
