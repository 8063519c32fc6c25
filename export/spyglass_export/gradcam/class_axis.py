"""Nodes that work along the classes of each image."""

from __future__ import annotations

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node


def is_of_classes(view: GraphView, node: Node) -> bool:
    """Return whether a node works along the classes of each image, and along no other axis."""
    return covers_classes(view, node) and 0 not in _axes(view, node, len(view.dims(node.inputs[0])))


def covers_classes(view: GraphView, node: Node) -> bool:
    """Return whether a node works along the classes, perhaps of all images together."""
    dims = view.dims(node.inputs[0])
    axes = _axes(view, node, len(dims))
    return all(size == 1 or axis in axes for axis, size in enumerate(dims) if axis > 0)


def _axes(view: GraphView, node: Node, rank: int) -> set[int]:
    if node.op_type in ("Softmax", "LogSoftmax"):
        axis = node.attribute("axis", 1 if view.opset < 13 else -1) % rank
        return set(range(axis, rank)) if view.opset < 13 else {axis}
    if node.op_type in ("ArgMax", "GatherElements", "TopK"):
        return {node.attribute("axis", -1 if node.op_type == "TopK" else 0) % rank}
    axes = node.attribute("axes")
    if axes is None and node.input(1):
        axes = view.constant(node.input(1))
    return set(range(rank)) if axes is None else {int(axis) % rank for axis in axes}
