"""Operators that write elements at indices."""

from __future__ import annotations

from collections.abc import Mapping

from spyglass_export.gradcam.cotangent import Cotangent, dense
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.sizes import Sized
from spyglass_export.gradcam.step import Step


@rule("ScatterElements", rows_are_images=True)
def scatter_elements(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient with 0 at the written places, and the gradient at these places."""
    axis = step.node.attribute("axis", 0) % step.shape_of(0).rank
    step.keep_images_apart(step.shape_of(0), [axis])
    return _written(step, "ScatterElements", "GatherElements", axis=axis)


@rule("ScatterND", rows_are_images=True)
def scatter_by_coordinates(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient with 0 at the written places, and the gradient at these places."""
    return _written(step, "ScatterND", "GatherND")


def _written(step: Step, write: str, read: str, **attributes: int) -> Mapping[int, Cotangent]:
    build, gradient = step.build, dense(step.build, step.gradient).name
    reduction = step.node.attribute("reduction", "none")
    if reduction not in ("none", "add"):
        raise step.unsupported(f"its reduction must be none or add, not {reduction}")
    gradients = {}
    if 0 in step.required:
        name = gradient
        if reduction == "none":
            name = build.add(
                write, gradient, step.node.inputs[1], _zeros(step, step.shape_of(2)), **attributes
            )
        gradients[0] = Cotangent(name, step.shape_of(0))
    if 2 in step.required:
        name = build.add(read, gradient, step.node.inputs[1], **attributes)
        gradients[2] = Cotangent(name, step.shape_of(2))
    return gradients


def _zeros(step: Step, like: Sized) -> str:
    return step.build.add("Expand", step.build.floats(0), step.build.add("Shape", like.name))
