"""The axes of a reduction, and tensors before and after it in one rank."""

from __future__ import annotations

from spyglass_export.gradcam.cotangent import Cotangent
from spyglass_export.gradcam.opset_forms import unsqueeze
from spyglass_export.gradcam.sizes import Sized
from spyglass_export.gradcam.step import Step
from spyglass_export.gradcam.tensor_types import Dims


def axes_of(step: Step) -> list[int]:
    """Return the axes that a Reduce or Global node reduces, sorted.

    Raises UnsupportedHead if one of them is the axis of the batch.
    """
    source = step.input(0)
    if step.node.op_type.startswith("Global"):
        return list(range(2, source.rank))
    given = step.node.attribute("axes")
    if step.has_input(1):
        given = step.constant(1, "axes").tolist()
    if given:
        axes = sorted({axis % source.rank for axis in given})
    else:
        axes = [] if step.node.attribute("noop_with_empty_axes", 0) else list(range(source.rank))
    step.keep_images_apart(source, axes)
    return axes


def spread_back(step: Step, gradient: Cotangent) -> Cotangent:
    """Return the gradient of the reduced tensor as a gradient of the input, spread over the reduced axes."""
    axes = axes_of(step)
    kept = [axis for axis in range(step.input(0).rank) if axis not in axes]
    name = in_rank_of_input(step, gradient.name)
    old = gradient.spread if _keeps_dims(step) else {kept[axis] for axis in gradient.spread}
    return Cotangent(name, step.input(0), frozenset(old) | frozenset(axes))


def in_rank_of_input(step: Step, reduced: str) -> str:
    """Return a tensor of the reduced shape with the reduced axes kept as axes of size 1."""
    return reduced if _keeps_dims(step) else unsqueeze(step.build, reduced, axes_of(step))


def output_in_rank_of_input(step: Step) -> Sized:
    """Return the node's output with the reduced axes kept as axes of size 1."""
    return Sized(in_rank_of_input(step, step.output().name), kept_dims(step))


def kept_dims(step: Step) -> Dims:
    """Return the dimensions of the input, with 1 for each reduced axis."""
    axes = axes_of(step)
    return tuple(1 if axis in axes else size for axis, size in enumerate(step.input(0).dims))


def _keeps_dims(step: Step) -> bool:
    return bool(step.node.attribute("keepdims", 1)) or step.node.op_type.startswith("Global")
