"""Softmax and its logarithm: inside the head, or at the end for the gradient of the probability."""

from __future__ import annotations

from collections.abc import Mapping

from spyglass_export.gradcam.cotangent import Cotangent, dense, zeros_if_constant
from spyglass_export.gradcam.opset_forms import reduce
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.step import Step


@rule("Softmax")
def softmax(step: Step) -> Mapping[int, Cotangent]:
    """Return y·(g - Σ g·y)."""
    build, y, axes = step.build, step.output().name, _axes(step)
    if (nothing := zeros_if_constant(build, step.gradient, axes)) is not None:
        return {0: nothing}
    gradient = dense(build, step.gradient)
    mean = reduce(build, "ReduceSum", build.add("Mul", gradient.name, y), axes)
    name = build.add("Mul", y, build.add("Sub", gradient.name, mean))
    return {0: Cotangent(name, step.input(0))}


@rule("LogSoftmax")
def log_softmax(step: Step) -> Mapping[int, Cotangent]:
    """Return g - e^y·Σ g."""
    build, y = step.build, step.output().name
    gradient = dense(build, step.gradient)
    whole = reduce(build, "ReduceSum", gradient.name, _axes(step))
    name = build.add("Sub", gradient.name, build.add("Mul", build.add("Exp", y), whole))
    return {0: Cotangent(name, step.input(0))}


def _axes(step: Step) -> list[int]:
    """The axes along which probabilities add up to 1: before opset 13, all axes from `axis` on."""
    rank = step.output().rank
    if step.build.opset < 13:
        axes = list(range(step.node.attribute("axis", 1) % rank, rank))
    else:
        axes = [step.node.attribute("axis", -1) % rank]
    step.keep_images_apart(step.output(), axes)
    return axes
