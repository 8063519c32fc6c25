"""Weights for the reverse pass: in place, or unpacked if they are quantised.

ONNX Runtime unpacks a quantised weight in every run if a node reads it as float32, although the product of
the forward pass works on integers. So the heatmap's branch has its own unpacking, of only the rows it needs.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx import TensorProto

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node


def as_float32(view: GraphView, build: GraphBuilder, name: str) -> str:
    """Return a tensor of the model as float32."""
    unpacking = _unpacking(view, name)
    if unpacking is None:
        return _cast(view, build, name, like=name)
    return _cast(view, build, _unpacked(build, unpacking, unpacking.inputs), like=name)


def picked_as_float32(view: GraphView, build: GraphBuilder, name: str, index: str, axis: int) -> str:
    """Return the rows (axis 0) or columns (axis 1) of a weight at `index`, int64 [number], as float32."""
    unpacking = _unpacking(view, name)
    if unpacking is None:
        return _cast(view, build, build.add("Gather", name, index, axis=axis), like=name)
    numbers, *grid = unpacking.inputs
    if view.rank(grid[0]) == 1 and unpacking.attribute("axis", 1) % 2 == axis:
        grid = [build.add("Gather", each, index, axis=0) for each in grid]
    picked = [build.add("Gather", numbers, index, axis=axis), *grid]
    return _cast(view, build, _unpacked(build, unpacking, picked), like=name)


def _unpacking(view: GraphView, name: str) -> Node | None:
    """The node that unpacks a weight, None if the tensor is not a quantised weight."""
    node = view.producers.get(name)
    if node is None or node.op_type != "DequantizeLinear" or node.attribute("block_size", 0):
        return None
    return None if node.inputs[0] in view.producers else node


def _unpacked(build: GraphBuilder, unpacking: Node, inputs: Sequence[str]) -> str:
    return build.add("DequantizeLinear", *inputs, **unpacking.attributes)


def _cast(view: GraphView, build: GraphBuilder, name: str, like: str) -> str:
    """`name`, which has the element type of the model's tensor `like`, as float32."""
    if view.element(like) == TensorProto.FLOAT:
        return name
    return build.add("Cast", name, to=TensorProto.FLOAT)
