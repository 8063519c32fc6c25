"""Whether one pass can compute the gradients of several classes of a single image.

The pass has a row for each explained class along the axis of the batch, and the tensors of a single image
broadcast over the rows. This needs tensors whose axis of the batch holds the images and nothing else. It
fails if windows or heads are folded into that axis, and if the file has a built-in batch: then no axis is
known to be the batch's.
"""

from __future__ import annotations

from collections.abc import Sequence

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.head import Head, find_head
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.registry import needs_rows_of_images
from spyglass_export.gradcam.sizes import batch_axis


def rows_may_be_classes(view: GraphView, tensors: Sequence[str], scores: str) -> bool:
    """Return whether the reverse pass allows more rows than there are images, for a batch of one image.

    `tensors` are the explained ones. Raises HeatmapError if ONNX Runtime cannot run the model to find its
    sizes.
    """
    return all(_rows_may_be_classes(view, find_head(view, tensor, scores)) for tensor in tensors)


def _rows_may_be_classes(view: GraphView, head: Head) -> bool:
    if any(_needs_rows_of_images(view, node) for node in head.nodes):
        return False
    read = {name for node in head.nodes for name in node.inputs if name and view.is_fed(name)}
    beside = [name for name in read - head.path if view.rank(name) and None in view.dims(name)]
    on_path = [name for name in sorted(head.path) if view.rank(name)]
    axes = view.image_axes([*on_path, *beside])
    # The rules take the first axis of unknown size for the batch's.
    return all(axes[name] is not None and axes[name] == batch_axis(view.dims(name)) for name in axes)


def _needs_rows_of_images(view: GraphView, node: Node) -> bool:
    if node.op_type == "Einsum":
        return sum(view.is_fed(operand) for operand in node.inputs) > 1
    return needs_rows_of_images(node)
