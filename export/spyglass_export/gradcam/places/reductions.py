"""Reductions, and other operators that compute a number from all numbers along some axes."""

from __future__ import annotations

from spyglass_export.gradcam.places.call import Call
from spyglass_export.gradcam.places.contraction import contracted, summed
from spyglass_export.gradcam.places.located import Located
from spyglass_export.gradcam.places.traced import Traced, traced_mixed, traced_nowhere


def reduction(call: Call) -> list[Traced]:
    """ReduceMean and the like: the single place, the place of a coarser grid, or a mixture."""
    operand = call.input(0)
    axes = call.integers("axes", 1)
    if not axes:
        if call.node.attribute("noop_with_empty_axes", 0):
            return [Traced(operand.places, operand.others)]
        axes = list(range(len(operand.shape)))
    axes = [axis % len(operand.shape) for axis in axes]
    reduced = summed(operand, axes, blocks=True)
    if call.node.attribute("keepdims", 1):
        return [reduced]
    shape = tuple(size for axis, size in enumerate(operand.shape) if axis not in axes)
    return [reduced.moved(lambda full: full.reshape(shape))]


def along_axis(call: Call) -> list[Traced]:
    """CumSum and TopK: the single place of all numbers along the axis, or a mixture."""
    operand = call.input(0)
    axis = call.node.attribute("axis", -1)
    if call.node.op_type == "CumSum":
        axis = int(call.value(1).reshape(-1)[0])
    shapes = call.infer_shapes()
    places = contracted(operand.places, [axis % len(operand.shape)], blocks=False)
    first = traced_mixed(shapes[0])
    if operand.others is None:
        first = Traced(Located(places.base, shapes[0], places.grid))
    return [first, *(traced_nowhere(shape) for shape in shapes[1:])]
