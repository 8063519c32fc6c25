"""The arithmetic of DequantizeLinear, written out: (integers - zero point) · scale.

The heatmap's branch must not hold a DequantizeLinear. ONNX Runtime fuses it with the product behind it, and
looks for the weight in the branch; but the weight lies in the graph around it, and the file would not load.
"""

from __future__ import annotations

from onnx import TensorProto

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.sizes import Size, Sized, reshape, size_of

# ONNX Runtime reads these with Cast only.
_PACKED = frozenset({TensorProto.INT4, TensorProto.UINT4})


def unpacked(view: GraphView, build: GraphBuilder, node: Node) -> str:
    """Add what a DequantizeLinear computes, as float32."""
    grid = [_broadcast(view, build, node, each) for each in node.inputs[1:] if each]
    if _block(node):
        return _unpacked_blocks(view, build, node, grid)
    return _arithmetic(build, to_float32(build, node.inputs[0]), grid)


def picked_unpacked(view: GraphView, build: GraphBuilder, node: Node, index: str, axis: int) -> str:
    """Add rows (axis 0) or columns (axis 1) of what a DequantizeLinear computes, as float32."""
    integers, given = node.inputs[0], node.inputs[1:]
    if _block(node):
        return build.add("Gather", unpacked(view, build, node), index, axis=axis)
    grid = [_broadcast(view, build, node, each) for each in given if each]
    if _axis(view, node) == axis:
        grid = [build.add("Gather", each, index, axis=axis) for each in grid]
    if view.element(node.inputs[0]) in _PACKED:
        numbers = build.add("Gather", to_float32(build, integers), index, axis=axis)
    else:
        numbers = to_float32(build, build.add("Gather", integers, index, axis=axis))
    return _arithmetic(build, numbers, grid)


def to_float32(build: GraphBuilder, name: str) -> str:
    """Add a cast to float32."""
    return build.add("Cast", name, to=TensorProto.FLOAT)


def _block(node: Node) -> int:
    return int(node.attribute("block_size", 0))


def _axis(view: GraphView, node: Node) -> int | None:
    """The axis that has its own scale for each index, None if there is a single scale."""
    if view.rank(node.inputs[1]) != 1 or view.dims(node.inputs[1]) == (1,):
        return None
    return int(node.attribute("axis", 1)) % len(view.dims(node.inputs[0]))


def _broadcast(view: GraphView, build: GraphBuilder, node: Node, name: str) -> str:
    """Scales or zero points in a shape that broadcasts to that of the integers, or of their blocks."""
    rank = len(view.dims(node.inputs[0]))
    if _block(node):
        known = Sized(name, view.dims(name))
        sizes = [size_of(build, known, axis) for axis in range(rank)]
        sizes.insert(_block_axis(node, rank) + 1, 1)
        return reshape(build, to_float32(build, name), sizes)
    axis = _axis(view, node)
    if axis is None:
        return name
    shape = [-1 if each == axis else 1 for each in range(rank)]
    return build.add("Reshape", to_float32(build, name), build.integers(shape))


def _block_axis(node: Node, rank: int) -> int:
    return int(node.attribute("axis", 1)) % rank


def _unpacked_blocks(view: GraphView, build: GraphBuilder, node: Node, grid: list[str]) -> str:
    """Integers in blocks of the same scale along one axis; the last block may be shorter."""
    dims = view.dims(node.inputs[0])
    axis = _block_axis(node, len(dims))
    integers = Sized(node.inputs[0], dims)
    sizes: list[Size] = [size_of(build, integers, each) for each in range(len(dims))]
    block, size = _block(node), dims[axis]
    numbers = to_float32(build, node.inputs[0])
    if size is None or size % block:
        pads = [0] * (2 * len(dims))
        pads[len(dims) + axis] = -(size or 0) % block
        numbers = build.add("Pad", numbers, build.integers(pads))
    folded = reshape(build, numbers, [*sizes[:axis], -1, block, *sizes[axis + 1 :]])
    whole = reshape(build, _arithmetic(build, folded, grid), [*sizes[:axis], -1, *sizes[axis + 1 :]])
    if size is None or not size % block:
        return whole
    return build.add("Slice", whole, *(build.integers([each]) for each in (0, size, axis)))


def _arithmetic(build: GraphBuilder, numbers: str, grid: list[str]) -> str:
    """(numbers - zero point) · scale; the zero point may be missing."""
    scale, *zero_point = (to_float32(build, each) for each in grid)
    for zero in zero_point:
        numbers = build.add("Sub", numbers, zero)
    return build.add("Mul", numbers, scale)
