"""The places of the tensors of a graph."""

from __future__ import annotations

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.places.placement import Placement


class Places:
    """Where the numbers of each tensor lie in the image. Cheap to make: the graph is traced when asked."""

    def __init__(self, view: GraphView) -> None:
        self._view = view

    def placement(self, tensor: str) -> Placement | None:
        """Return the placement of a tensor.

        None if its numbers have no places, if one mixes several places, or if some place of the grid occurs
        more or less often than the others.
        """
        raise NotImplementedError(tensor)
