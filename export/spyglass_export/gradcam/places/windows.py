"""Convolutions, poolings and resizing: operators that compute a grid of their own from windows of a map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spyglass_export.gradcam.places.call import Call
from spyglass_export.gradcam.places.contraction import contracted, summed
from spyglass_export.gradcam.places.lattice import find_lattice
from spyglass_export.gradcam.places.located import Located, Shape, mixed
from spyglass_export.gradcam.places.traced import Traced, traced_mixed, traced_nowhere


def convolution(call: Call, weight: int = 1) -> list[Traced]:
    """Conv or ConvTranspose of the first input with the weight at index `weight`."""
    shape, operand = call.shape, call.input(0)
    kernel = list(call.input(weight).shape[2:])
    if operand.others is not None:
        return [_of_heads(call, operand, kernel, shape)]
    places = _over_channels(call, operand.places, shape[1])
    return [Traced(replace(_through(call, places, kernel, shape), of_pixels=False))]


def pooling(call: Call) -> list[Traced]:
    """AveragePool, MaxPool and LpPool; the indices of MaxPool have no place."""
    shapes = call.infer_shapes()
    kernel = [int(size) for size in call.node.attribute("kernel_shape")]
    places = _single(call)
    first = mixed(shapes[0]) if places is None else _through(call, places, kernel, shapes[0])
    return [Traced(replace(first, of_pixels=False)), *(traced_nowhere(shape) for shape in shapes[1:])]


def global_pooling(call: Call) -> list[Traced]:
    """GlobalAveragePool and the like."""
    places = _single(call)
    if places is None:
        return [traced_mixed(call.shape)]
    return [Traced(contracted(places, range(2, len(places.shape)), blocks=True))]


def resize(call: Call) -> list[Traced]:
    """Resize to another size of the same image."""
    shape, places = call.shape, _single(call)
    if places is None:
        return [traced_mixed(shape)]
    if shape == places.shape:
        return [Traced(places)]
    varied = [axis for axis in range(1, len(shape)) if places.base.shape[axis] > 1]
    others = [axis for axis in range(len(shape)) if axis not in varied and places.base.shape[axis] > 1]
    if not varied and not others:
        return [Traced(places.kept(shape))]
    lattice = find_lattice(places, varied, [0] * len(varied))
    if lattice is None or any(shape[axis] != places.shape[axis] for axis in others):
        return [traced_mixed(shape)]
    return [Traced(lattice.resized(shape) or mixed(shape))]


def _single(call: Call) -> Located | None:
    operand = call.input(0)
    return operand.places if operand.others is None else None


def _of_heads(call: Call, operand: Traced, kernel: Sequence[int], shape: Shape) -> Traced:
    """A convolution of matrices of attention: one that only mixes the heads leaves what they compare."""
    if not _is_pointwise(call, kernel):
        return traced_mixed(shape)
    found = summed(operand, [1], blocks=False)
    return Traced(found.places.kept(shape), None if found.others is None else found.others.kept(shape))


def _over_channels(call: Call, places: Located, channels: int) -> Located:
    """The places after the sum over the channels of each group, with `channels` outputs."""
    groups = call.node.attribute("group", 1)
    batch, width, *rest = places.shape
    if groups == 1 or places.base.shape[1] == 1:
        return contracted(places, [1], blocks=True)
    apart = places.moved(lambda full: full.reshape(batch, groups, width // groups, *rest))
    each = contracted(apart, [2], blocks=True)
    return each.moved(lambda full: np.repeat(full.reshape(batch, groups, *rest), channels // groups, axis=1))


def _through(call: Call, places: Located, kernel: Sequence[int], shape: Shape) -> Located:
    """The places of the result of windows of the sizes `kernel` over the axes behind the channels."""
    axes = range(2, len(shape))
    if _is_pointwise(call, kernel) or all(places.base.shape[axis] == 1 for axis in axes):
        return places.kept(shape)
    dilations = call.node.attribute("dilations") or [1] * len(kernel)
    reach = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    lattice = find_lattice(places, axes, reach)
    if lattice is not None:
        return lattice.resized(shape) or mixed(shape)
    if all(shape[axis] == 1 for axis in axes):
        whole = contracted(places, axes, blocks=True)
        return whole.kept(shape)
    return mixed(shape)


def _is_pointwise(call: Call, kernel: Sequence[int]) -> bool:
    moved = [*(call.node.attribute("strides") or []), *kernel]
    return all(size == 1 for size in moved) and not any(call.node.attribute("pads") or [])
