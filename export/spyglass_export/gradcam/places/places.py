"""The places of the tensors of a graph."""

from __future__ import annotations

from functools import cached_property

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.places.entry import has_free_sizes
from spyglass_export.gradcam.places.placement import Placement
from spyglass_export.gradcam.places.placing import place
from spyglass_export.gradcam.places.tracing import Trace, trace


class Places:
    """Where the numbers of each tensor lie in the image. Cheap to make: the graph is traced when asked."""

    def __init__(self, view: GraphView) -> None:
        self._view = view
        self._placements: dict[str, Placement | None] = {}

    def placement(self, tensor: str) -> Placement | None:
        """Return the placement of a tensor of real numbers.

        None if its numbers have no places, if they mix several places, or if some place of the grid occurs
        more or less often than the others. If the network's input has free sizes, only tensors of a plain
        layout have a placement.
        """
        if tensor not in self._placements:
            self._placements[tensor] = self._find(tensor)
        return self._placements[tensor]

    def is_traced(self, tensor: str) -> bool:
        """Return whether the operators before a tensor could be followed. If not, its places are unknown."""
        return tensor in self._traced.tensors

    def has_places(self, tensor: str) -> bool:
        """Return whether some numbers of a tensor have a place of their own, True if this is unknown."""
        found = self._traced.tensors.get(tensor)
        return found is None or found.places.grid is not None

    @cached_property
    def _traced(self) -> Trace:
        return trace(self._view)

    def _find(self, tensor: str) -> Placement | None:
        if not self._view.is_real(tensor) or self._view.rank(tensor) is None:
            return None
        if (found := self._traced.tensors.get(tensor)) is None:
            return None
        placement = place(found, self._view.dims(tensor), self._traced.images)
        if placement is not None and placement.layout is None and has_free_sizes(self._view):
            return None
        return placement
