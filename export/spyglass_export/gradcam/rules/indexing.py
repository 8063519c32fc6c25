"""Operators that take parts of a tensor, join parts, or add padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from spyglass_export.gradcam.cotangent import Cotangent, dense
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.rules.placement import put_back, put_side_by_side
from spyglass_export.gradcam.sizes import Sized
from spyglass_export.gradcam.step import Step

# Modes of Pad that copy numbers of the tensor, under the names that numpy.pad has for them too.
_REPEATING_PADS = ("edge", "reflect", "wrap")


@rule("Concat")
def concatenate(step: Step) -> Mapping[int, Cotangent]:
    """Return for each part its slice of the gradient."""
    axis = step.node.attribute("axis") % step.gradient.of.rank
    parts = [step.shape_of(index) for index in range(len(step.node.inputs))]
    bounds = _bounds(step, parts, axis)
    return {
        index: _cut(step, parts[index], axis, bounds[index], bounds[index + 1]) for index in step.required
    }


def _bounds(step: Step, parts: Sequence[Sized], axis: int) -> list[int]:
    """Begin and end of the parts along their axis."""
    return [0, *np.cumsum([step.known_size(part, axis) for part in parts]).tolist()]


def _cut(step: Step, part: Sized, axis: int, start: int, end: int) -> Cotangent:
    if axis in step.gradient.spread:
        return replace(step.gradient, of=part)
    bounds = (step.build.integers([bound]) for bound in (start, end, axis))
    return replace(step.gradient, name=step.build.add("Slice", step.gradient.name, *bounds), of=part)


@rule("Split", every_output=True)
def split(step: Step) -> Mapping[int, Cotangent]:
    """Join the gradients of the parts, with zeros for parts that no node reads."""
    whole = step.shape_of(0)
    axis = step.node.attribute("axis", 0) % whole.rank
    parts = [Sized(name, step.view.dims(name)) for name in step.node.outputs]
    bounds = _bounds(step, parts, axis)
    pieces = {bounds[index]: replace(gradient, of=parts[index]) for index, gradient in step.gradients.items()}
    return {0: replace(put_side_by_side(step.build, pieces, axis, bounds[-1]), of=whole)}


@rule("Slice")
def cut_out(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient at the places of the slice, and 0 elsewhere."""
    whole, gradient = step.shape_of(0), step.gradient
    for axis, chosen in slices_of(step, whole.rank).items():
        size = step.known_size(whole, axis)
        gradient = put_back(step.build, gradient, axis, range(size)[chosen], size)
    return {0: replace(gradient, of=whole)}


def slices_of(step: Step, rank: int) -> dict[int, slice]:
    """Return the range of each axis that a Slice node names. Raises UnsupportedHead if it is not constant."""
    starts, ends = (step.constant(index, "bounds").tolist() for index in (1, 2))
    axes = step.constant(3, "axes").tolist() if step.has_input(3) else range(len(starts))
    strides = step.constant(4, "steps").tolist() if step.has_input(4) else [1] * len(starts)
    return {
        axis % rank: _python_slice(*bounds) for axis, *bounds in zip(axes, starts, ends, strides, strict=True)
    }


def _python_slice(start: int, end: int, stride: int) -> slice:
    """ONNX marks a backward slice to the first element with a very negative end; Python uses None."""
    return slice(start, None if stride < 0 and end < -(2**31) else end, stride)


@rule("Pad")
def pad(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient without the padding, plus that of each padded copy at its original place."""
    whole, margins = step.shape_of(0), _margins(step)
    mode = step.node.attribute("mode", "constant")
    if mode == "constant":
        return {0: _without_margin(step, whole, margins)}
    if mode not in _REPEATING_PADS:
        raise step.unsupported(f"its mode must be constant, {', '.join(_REPEATING_PADS)}, not {mode}")
    gradient = step.gradient
    for axis, margin in margins.items():
        size = step.known_size(whole, axis)
        places = np.pad(np.arange(size), margin, mode=mode).tolist()
        gradient = put_back(step.build, gradient, axis, places, size)
    return {0: replace(gradient, of=whole)}


def _margins(step: Step) -> dict[int, tuple[int, int]]:
    pads, rank = step.constant(1, "pads"), step.gradient.of.rank
    axes = step.constant(3, "axes").tolist() if step.has_input(3) else range(rank)
    both = zip(axes, pads.reshape(2, -1).T.tolist(), strict=True)
    return {axis % rank: (before, after) for axis, (before, after) in both if before or after}


def _without_margin(step: Step, whole: Sized, margins: Mapping[int, tuple[int, int]]) -> Cotangent:
    gradient = dense(step.build, step.gradient, margins)
    crop = np.zeros((2, whole.rank), np.int64)
    for axis, margin in margins.items():
        crop[:, axis] = -np.array(margin)
    name = step.build.add("Pad", gradient.name, step.build.integers(crop.ravel()))
    return replace(gradient, name=name, of=whole)
