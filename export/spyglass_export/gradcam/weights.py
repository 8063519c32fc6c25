"""Weights for the reverse pass: in place, or unpacked if they are quantised.

ONNX Runtime unpacks a quantised weight in every run if a node reads it as float32, although the product of
the forward pass works on integers. So the heatmap's branch has its own unpacking, of only the rows it needs.

The unpacking is plain arithmetic, not DequantizeLinear. ONNX Runtime fuses DequantizeLinear with the product
behind it, and looks for the weight in the branch; but the weight lies in the graph around it, and the file
would not load.
"""

from __future__ import annotations

from onnx import TensorProto

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node


def as_float32(view: GraphView, build: GraphBuilder, name: str) -> str:
    """Return a tensor of the model as float32."""
    unpacking = _unpacking(view, name)
    if unpacking is None:
        return _cast(view, build, name)
    grid = [_along(view, build, unpacking, each) for each in unpacking.inputs[1:] if each]
    return _unpacked(build, unpacking.inputs[0], grid)


def picked_as_float32(view: GraphView, build: GraphBuilder, name: str, index: str, axis: int) -> str:
    """Return the rows (axis 0) or columns (axis 1) of a weight at `index`, int64 [number], as float32."""
    unpacking = _unpacking(view, name)
    if unpacking is None:
        picked = build.add("Gather", name, index, axis=axis)
        return picked if view.element(name) == TensorProto.FLOAT else _float32(build, picked)
    numbers, *given = unpacking.inputs
    grid = [_along(view, build, unpacking, each) for each in given if each]
    if _axis(view, unpacking) == axis:
        grid = [build.add("Gather", each, index, axis=axis) for each in grid]
    return _unpacked(build, build.add("Gather", numbers, index, axis=axis), grid)


def _unpacking(view: GraphView, name: str) -> Node | None:
    """The node that unpacks a weight, None if the tensor is not a quantised weight."""
    node = view.producers.get(name)
    if node is None or node.op_type != "DequantizeLinear" or node.attribute("block_size", 0):
        return None
    return None if node.inputs[0] in view.producers else node


def _axis(view: GraphView, unpacking: Node) -> int | None:
    """The axis of the weight that has its own scale for each index, None if there is a single scale."""
    if view.rank(unpacking.inputs[1]) != 1 or view.dims(unpacking.inputs[1]) == (1,):
        return None
    return int(unpacking.attribute("axis", 1)) % len(view.dims(unpacking.inputs[0]))


def _along(view: GraphView, build: GraphBuilder, unpacking: Node, name: str) -> str:
    """Scales or zero points in a shape that broadcasts to the weight's."""
    axis = _axis(view, unpacking)
    if axis is None:
        return name
    shape = [-1 if each == axis else 1 for each in range(len(view.dims(unpacking.inputs[0])))]
    return build.add("Reshape", name, build.integers(shape))


def _unpacked(build: GraphBuilder, numbers: str, grid: list[str]) -> str:
    """(numbers - zero point) · scale; the zero point may be missing."""
    scale, *zero_point = (_float32(build, each) for each in grid)
    difference = _float32(build, numbers)
    for zero in zero_point:
        difference = build.add("Sub", difference, zero)
    return build.add("Mul", difference, scale)


def _cast(view: GraphView, build: GraphBuilder, name: str) -> str:
    return name if view.element(name) == TensorProto.FLOAT else _float32(build, name)


def _float32(build: GraphBuilder, name: str) -> str:
    return build.add("Cast", name, to=TensorProto.FLOAT)
