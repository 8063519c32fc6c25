"""Maps behind an operator whose effect on the places of the image is unknown, such as one of a vendor.

If the operators after it show the axes of height and width, those are taken as the height and width of the
image. The user is told.
"""

from __future__ import annotations

from spyglass_export.gradcam.finding.products import PRODUCTS
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.layout import find_layout
from spyglass_export.gradcam.places import Placement
from spyglass_export.gradcam.places.arrangement import Arrangement
from spyglass_export.gradcam.places.batch_axis import BatchAxis

# Operators of other domains than ONNX's may have weights.
_OTHER_DOMAIN = "."


def assumed_placement(view: GraphView, tensor: str) -> Placement | None:
    """Return the placement of a tensor whose axes the graph shows, None if it does not show them."""
    if view.rank(tensor) != 4 or (layout := find_layout(view, tensor)) is None:
        return None
    height, width, channels = (view.dims(tensor)[axis] for axis in (*layout.spatial, layout.channel))
    if height is None or width is None or channels is None:
        return None
    weighted = any(
        node.op_type in PRODUCTS or _OTHER_DOMAIN in node.op_type for node in view.ancestors(tensor)
    )
    order = (0, *layout.spatial, layout.channel)
    steps = Arrangement(BatchAxis(0), order, 2, (height, width, channels), None, (height, width))
    return Placement(height, width, channels, not weighted, layout, steps)
