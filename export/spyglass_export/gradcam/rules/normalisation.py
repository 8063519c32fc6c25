"""Normalisations at inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spyglass_export.gradcam.cotangent import Cotangent, dense, multiply, zeros_if_constant
from spyglass_export.gradcam.opset_forms import reduce
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.sizes import Sized, reshape, rows_like
from spyglass_export.gradcam.step import Step


@rule("BatchNormalization")
def batch_normalization(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient times scale/√(variance + ε), a number for each channel."""
    if step.node.attribute("training_mode", 0):
        raise step.unsupported("it is in training mode, which mixes the images of a batch")
    build = step.build
    spread = build.add("Add", step.input(4).name, build.floats(step.node.attribute("epsilon", 1e-5)))
    slope = build.add("Div", step.input(1).name, build.add("Sqrt", spread))
    return {0: multiply(build, step.gradient, _per_channel(step, slope))}


@rule("LayerNormalization")
def layer_normalization(step: Step) -> Mapping[int, Cotangent]:
    """Go back through the scale, then through the standardisation over the axes from `axis` on."""
    axes = _axes_from(step)
    scaled = step.build.add("Mul", dense(step.build, step.gradient).name, step.input(1).name)
    return {0: Cotangent(_through_standardisation(step, scaled, step.input(0).name, axes), step.input(0))}


@rule("RMSNormalization")
def root_mean_square_normalization(step: Step) -> Mapping[int, Cotangent]:
    """Go back through the scale, then through x/√(mean(x²) + ε) over the axes from `axis` on."""
    build, x, axes = step.build, step.input(0), _axes_from(step)
    scaled = build.add("Mul", dense(build, step.gradient).name, step.input(1).name)
    square = reduce(build, "ReduceMean", build.add("Mul", x.name, x.name), axes)
    epsilon = build.floats(step.node.attribute("epsilon", 1e-5))
    root = build.add("Sqrt", build.add("Add", square, epsilon))
    standard = build.add("Div", x.name, root)
    along = reduce(build, "ReduceMean", build.add("Mul", scaled, standard), axes)
    rest = build.add("Sub", scaled, build.add("Mul", standard, along))
    return {0: Cotangent(build.add("Div", rest, root), x)}


@rule("MeanVarianceNormalization")
def mean_variance_normalization(step: Step) -> Mapping[int, Cotangent]:
    """Go back through (x - mean)/(σ + 1e-9); `axes` must leave out the batch."""
    axes = [axis % step.input(0).rank for axis in step.node.attribute("axes", [0, 2, 3])]
    step.keep_images_apart(step.input(0), axes)
    if (nothing := zeros_if_constant(step.build, step.gradient, axes)) is not None:
        return {0: nothing}
    gradient = dense(step.build, step.gradient).name
    sent = _through_standardisation(step, gradient, step.input(0).name, axes, epsilon=1e-18)
    return {0: Cotangent(sent, step.input(0))}


@rule("LpNormalization")
def length_normalization(step: Step) -> Mapping[int, Cotangent]:
    """Go back through y = x/L with L = Σ|x| or √Σx²: (g - L'·Σ g·y)/L, with L' = sign x or y."""
    build, x, y = step.build, step.input(0), step.output().name
    axis = step.node.attribute("axis", -1) % x.rank
    step.keep_images_apart(x, [axis])
    gradient = dense(build, step.gradient).name
    if step.node.attribute("p", 2) == 1:
        slope = build.add("Sign", x.name)
        length = reduce(build, "ReduceSum", build.add("Abs", x.name), [axis])
    else:
        slope = y
        length = build.add("Sqrt", reduce(build, "ReduceSum", build.add("Mul", x.name, x.name), [axis]))
    along = reduce(build, "ReduceSum", build.add("Mul", gradient, y), [axis])
    rest = build.add("Div", build.add("Sub", gradient, build.add("Mul", slope, along)), length)
    positive = build.add("Greater", length, build.floats(0))
    return {0: Cotangent(build.add("Where", positive, rest, build.floats(0)), x)}


@rule("InstanceNormalization")
def instance_normalization(step: Step) -> Mapping[int, Cotangent]:
    """Go back through the scale, then through the standardisation over height and width."""
    axes = list(range(2, step.input(0).rank))
    if (nothing := zeros_if_constant(step.build, step.gradient, axes)) is not None:
        return {0: nothing}
    scale = _per_channel(step, step.input(1).name)
    scaled = step.build.add("Mul", dense(step.build, step.gradient).name, scale.name)
    return {0: Cotangent(_through_standardisation(step, scaled, step.input(0).name, axes), step.input(0))}


@rule("GroupNormalization")
def group_normalization(step: Step) -> Mapping[int, Cotangent]:
    """Go back through the scale, then through the standardisation over each group of channels and all places.

    Since opset 21 each channel has its own scale; before, each group had one.
    """
    build, source, by_channel = step.build, step.input(0), step.build.opset >= 21
    groups = step.node.attribute("num_groups")
    gradient = dense(build, step.gradient).name
    if by_channel:
        gradient = build.add("Mul", gradient, _per_channel(step, step.input(1).name).name)
    gradient, grouped = (reshape(build, name, [0, groups, -1]) for name in (gradient, source.name))
    if not by_channel:
        gradient = build.add("Mul", gradient, reshape(build, step.input(1).name, [1, -1, 1]))
    sent = _through_standardisation(step, gradient, grouped, [2])
    return {0: Cotangent(reshape(build, sent, rows_like(build, source)), source)}


def _axes_from(step: Step) -> list[int]:
    """The axes from the attribute `axis` on."""
    rank = step.input(0).rank
    axes = list(range(step.node.attribute("axis", -1) % rank, rank))
    step.keep_images_apart(step.input(0), axes)
    return axes


def _per_channel(step: Step, numbers: str) -> Sized:
    """A tensor [channels] in a shape that broadcasts along all other axes."""
    rank = step.input(0).rank
    dims = (1, step.input(0).dims[1], *[1] * (rank - 2))
    if rank <= 2:
        return Sized(numbers, dims[1:rank])
    return Sized(reshape(step.build, numbers, [1, -1, *[1] * (rank - 2)]), dims)


def _through_standardisation(
    step: Step, gradient: str, x: str, axes: Sequence[int], epsilon: float | None = None
) -> str:
    """Gradient of x̂ = (x - mean)/σ with σ = √(variance + ε): (g - mean(g) - x̂·mean(g·x̂))/σ.

    The default of ε is the attribute of the node.
    """
    build = step.build
    centred = build.add("Sub", x, reduce(build, "ReduceMean", x, axes))
    variance = reduce(build, "ReduceMean", build.add("Mul", centred, centred), axes)
    if epsilon is None:
        epsilon = step.node.attribute("epsilon", 1e-5)
    deviation = build.add("Sqrt", build.add("Add", variance, build.floats(epsilon)))
    standard = build.add("Div", centred, deviation)
    along = reduce(build, "ReduceMean", build.add("Mul", gradient, standard), axes)
    rest = build.add("Sub", gradient, reduce(build, "ReduceMean", gradient, axes))
    rest = build.add("Sub", rest, build.add("Mul", standard, along))
    return build.add("Div", rest, deviation)
