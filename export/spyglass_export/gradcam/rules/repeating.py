"""Operators that repeat, add up or cut off numbers along an axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spyglass_export.gradcam.cotangent import Cotangent, dense
from spyglass_export.gradcam.opset_forms import reduce
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.sizes import Size, reshape, rows_like
from spyglass_export.gradcam.step import Step


@rule("Tile")
def tile(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient summed over the copies."""
    source, repeats = step.shape_of(0), step.constant(1, "repeats").tolist()
    repeated = [axis for axis, times in enumerate(repeats) if times != 1]
    step.keep_images_apart(source, repeated)
    gradient = dense(step.build, step.gradient)
    sizes: list[Size] = []
    copies = []
    for axis, size in enumerate(rows_like(step.build, source)):
        if axis in repeated:
            copies.append(len(sizes))
            sizes.append(repeats[axis])
        sizes.append(size)
    name = reduce(step.build, "ReduceSum", reshape(step.build, gradient.name, sizes), copies, keepdims=False)
    return {0: Cotangent(name, source)}


@rule("CumSum")
def cumulative_sum(step: Step) -> Mapping[int, Cotangent]:
    """Return the cumulative sum of the gradient, from the other end."""
    source = step.shape_of(0)
    axis = int(step.constant(1, "axis").item()) % source.rank
    step.keep_images_apart(source, [axis])
    gradient = dense(step.build, step.gradient, [axis])
    name = step.build.add(
        "CumSum",
        gradient.name,
        step.build.integers(axis),
        exclusive=step.node.attribute("exclusive", 0),
        reverse=1 - step.node.attribute("reverse", 0),
    )
    return {0: replace(gradient, name=name, of=source)}


@rule("Trilu")
def triangle(step: Step) -> Mapping[int, Cotangent]:
    """Return the same triangle of the gradient."""
    source = step.shape_of(0)
    gradient = dense(step.build, step.gradient, [source.rank - 2, source.rank - 1])
    diagonal = [step.node.inputs[1]] if step.has_input(1) else []
    name = step.build.add("Trilu", gradient.name, *diagonal, upper=step.node.attribute("upper", 1))
    return {0: replace(gradient, name=name, of=source)}
