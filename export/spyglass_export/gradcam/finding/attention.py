"""Tensors that attention compares: queries, keys, values, and heads. None of them is a map to explain.

Their numbers say what a place looks for and what it offers. What the places hold is in the map before.
"""

from __future__ import annotations

from spyglass_export.gradcam.finding.flow import Flow
from spyglass_export.gradcam.finding.maps import MOVING, Located, Maps
from spyglass_export.gradcam.finding.products import PRODUCTS, computed_without_products
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node

_MATCHING = frozenset({"Attention", "Einsum", "MatMul"})
_PARTING = MOVING | {"Gather", "Slice", "Split"}

_BY_CONSTANTS = frozenset({"Add", "Div", "Mul", "Sub"})


class Attention:
    """Looks up the tensors of a graph that attention compares."""

    def __init__(self, view: GraphView, flow: Flow, maps: Maps) -> None:
        self._view, self._flow, self._maps = view, flow, maps
        # Products of activations, and not of activations and weights.
        self._matching = [
            node for node in view.nodes if node.op_type in _MATCHING and len(flow.inputs_of(node)) > 1
        ]

    def splits_heads(self, found: Located) -> bool:
        """Return whether the numbers of each place lie along several axes, as those of several heads do."""
        return found.placement.channels not in self._view.dims(found.tensor)

    def joins_projections(self, found: Located) -> bool:
        """Return whether a tensor holds queries, keys and values side by side.

        Then a part of its channels is multiplied with numbers that other parts compute.
        """
        if not self._matching:
            return False
        behind = self._flow.behind([found.tensor])
        for node in self._matching:
            read = self._flow.inputs_of(node)
            parts = [name for name in read if self._is_part(name, found)]
            if parts and behind.issuperset(read):
                return True
        return False

    def is_compared(self, found: Located) -> bool:
        """Return whether attention reads a tensor as queries, keys or values, without weights in between."""
        if not self._matching:
            return False
        own = computed_without_products(self._view, self._flow, found.tensor)
        for node in self._matching:
            read = self._flow.inputs_of(node)
            if own.isdisjoint(read):
                continue
            if node.op_type == "Attention" or self._leads_to_softmax(node):
                return True
            if any(self._is_attention(name) for name in read if name not in own):
                return True
        return False

    def weighs_places(self, found: Located) -> bool:
        """Return whether a tensor is a softmax by which attention multiplies activations."""
        node = self._view.producers.get(self._maps.before_moves(found.tensor))
        if node is None or node.op_type != "Softmax":
            return False
        own = computed_without_products(self._view, self._flow, found.tensor)
        return any(not own.isdisjoint(self._flow.inputs_of(each)) for each in self._matching)

    def _is_part(self, name: str, found: Located) -> bool:
        """Return whether a tensor holds some of the channels of a map, and nothing else."""
        at = self._maps.at(name)
        if at is None or at.placement.channels >= found.placement.channels:
            return False
        while name != found.tensor:
            node = self._view.producers.get(name)
            read = [] if node is None else self._flow.inputs_of(node)
            # A bias or a factor has the same numbers in all images.
            if node is None or node.op_type not in _PARTING | _BY_CONSTANTS or len(read) != 1:
                return False
            (name,) = read
        return True

    def _leads_to_softmax(self, node: Node) -> bool:
        waiting, seen = [node], {node.index}
        while waiting:
            for output in waiting.pop().outputs:
                for reader in self._view.consumers.get(output, ()):
                    if reader.op_type == "Softmax":
                        return True
                    if reader.op_type not in PRODUCTS and reader.index not in seen:
                        seen.add(reader.index)
                        waiting.append(reader)
        return False

    def _is_attention(self, name: str) -> bool:
        """Return whether a tensor is the softmax of a product of activations, perhaps moved or masked."""
        waiting, softmax = [name], False
        seen = {name}
        while waiting:
            node = self._view.producers.get(waiting.pop())
            if node is None:
                continue
            if node in self._matching and softmax:
                return True
            softmax = softmax or node.op_type == "Softmax"
            if node.op_type not in PRODUCTS:
                new = set(self._flow.inputs_of(node)) - seen
                seen |= new
                waiting.extend(new)
        return False
