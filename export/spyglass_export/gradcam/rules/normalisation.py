"""Normalisations as they are at inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spyglass_export.gradcam.cotangent import Cotangent, dense, multiply
from spyglass_export.gradcam.opset_forms import reduce
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.sizes import Sized, reshape
from spyglass_export.gradcam.step import Step


@rule("BatchNormalization")
def batch_normalization(step: Step) -> Mapping[int, Cotangent]:
    """The gradient times scale/√(variance + ε), a number for each channel."""
    if step.node.attribute("training_mode", 0):
        raise step.unsupported("it is in training mode, where the pictures of a batch mix")
    build = step.build
    spread = build.add("Add", step.input(4).name, build.floats(step.node.attribute("epsilon", 1e-5)))
    slope = build.add("Div", step.input(1).name, build.add("Sqrt", spread))
    return {0: multiply(build, step.gradient, _per_channel(step, slope))}


@rule("LayerNormalization")
def layer_normalization(step: Step) -> Mapping[int, Cotangent]:
    """Through the scale, then through the standardisation over the axes from `axis` on."""
    rank = step.input(0).rank
    axes = list(range(step.node.attribute("axis", -1) % rank, rank))
    scaled = step.build.add("Mul", dense(step.build, step.gradient).name, step.input(1).name)
    return {0: _through_standardisation(step, scaled, axes)}


@rule("InstanceNormalization")
def instance_normalization(step: Step) -> Mapping[int, Cotangent]:
    """Through the scale, then through the standardisation over height and width."""
    axes = list(range(2, step.input(0).rank))
    scale = _per_channel(step, step.input(1).name)
    scaled = step.build.add("Mul", dense(step.build, step.gradient).name, scale.name)
    return {0: _through_standardisation(step, scaled, axes)}


def _per_channel(step: Step, numbers: str) -> Sized:
    """A tensor [channels] as one that broadcasts along all other axes."""
    rank = step.input(0).rank
    dims = (1, step.input(0).dims[1], *[1] * (rank - 2))
    if rank <= 2:
        return Sized(numbers, dims[1:rank])
    return Sized(reshape(step.build, numbers, [1, -1, *[1] * (rank - 2)]), dims)


def _through_standardisation(step: Step, gradient: str, axes: Sequence[int]) -> Cotangent:
    """x̂ = (x - mean)/σ with σ = √(variance + ε): (g - mean(g) - x̂·mean(g·x̂))/σ."""
    build, x = step.build, step.input(0)
    centred = build.add("Sub", x.name, reduce(build, "ReduceMean", x.name, axes))
    variance = reduce(build, "ReduceMean", build.add("Mul", centred, centred), axes)
    epsilon = build.floats(step.node.attribute("epsilon", 1e-5))
    deviation = build.add("Sqrt", build.add("Add", variance, epsilon))
    standard = build.add("Div", centred, deviation)
    along = reduce(build, "ReduceMean", build.add("Mul", gradient, standard), axes)
    rest = build.add("Sub", gradient, reduce(build, "ReduceMean", gradient, axes))
    rest = build.add("Sub", rest, build.add("Mul", standard, along))
    return Cotangent(build.add("Div", rest, deviation), x)
