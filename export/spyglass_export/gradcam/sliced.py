"""A gradient that is 0 outside a range of one axis, as that of the token that a classifier reads.

Only that range is computed, as long as each operator on the way works on every index of the axis alone, as
layers on tokens do. Attention reads all keys and values, so their gradients are full.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.cotangent import Cotangent, total
from spyglass_export.gradcam.opset_forms import unsqueeze
from spyglass_export.gradcam.rules.indexing import slices_of
from spyglass_export.gradcam.rules.placement import put_back, put_side_by_side
from spyglass_export.gradcam.sizes import Sized
from spyglass_export.gradcam.step import Step


@dataclass(frozen=True)
class AxisRange:
    """The indices from `start` to before `stop` along `axis`."""

    axis: int
    start: int
    stop: int

    def part(self, tensor: Sized) -> Sized:
        """Return a tensor with the size of this range along its axis; its name stays."""
        dims = (*tensor.dims[: self.axis], self.stop - self.start, *tensor.dims[self.axis + 1 :])
        return replace(tensor, dims=dims)

    def cut(self, build: GraphBuilder, tensor: Sized) -> Sized:
        """Add a Slice of a tensor, once for each tensor and range."""
        key = (tensor.name, self.axis, self.start, self.stop)
        if key not in build.slices:
            bounds = (build.integers([bound]) for bound in (self.start, self.stop, self.axis))
            build.slices[key] = build.add("Slice", tensor.name, *bounds)
        return replace(self.part(tensor), name=build.slices[key])


@dataclass(frozen=True)
class Sliced:
    """The gradient with respect to `of` if it is 0 outside `within`, where it is `part`."""

    part: Cotangent
    within: AxisRange
    of: Sized


def whole_gradient(build: GraphBuilder, gradient: Sliced) -> Cotangent:
    """Return a sliced gradient with its zeros."""
    size = gradient.of.dims[gradient.within.axis]
    assert size is not None
    every = AxisRange(gradient.within.axis, 0, size)
    return replace(_summed(build, [gradient], every).part, of=gradient.of)


def sum_along_axis(build: GraphBuilder, gradients: Sequence[Sliced]) -> Sliced:
    """Return the sum of sliced gradients of one tensor along one axis, on the range that holds them all."""
    by_range: dict[AxisRange, list[Cotangent]] = defaultdict(list)
    for gradient in gradients:
        by_range[gradient.within].append(gradient.part)
    of = gradients[0].of
    sums = [Sliced(total(build, parts), within, of) for within, parts in by_range.items()]
    if len(sums) == 1:
        return sums[0]
    start, stop = min(each.start for each in by_range), max(each.stop for each in by_range)
    return _summed(build, sums, AxisRange(sums[0].within.axis, start, stop))


def _summed(build: GraphBuilder, gradients: Sequence[Sliced], within: AxisRange) -> Sliced:
    """The sum of gradients of different ranges, with zeros up to the range `within` around them."""
    axis, size, of = within.axis, within.stop - within.start, gradients[0].of
    ordered = sorted(gradients, key=lambda gradient: gradient.within.start)
    starts = [gradient.within.start - within.start for gradient in ordered]
    if all(one.within.stop <= other.within.start for one, other in pairwise(ordered)):
        pieces = {start: gradient.part for start, gradient in zip(starts, ordered, strict=True)}
        joined = put_side_by_side(build, pieces, axis, size)
    else:
        lengths = [gradient.within.stop - gradient.within.start for gradient in ordered]
        places = [range(start, start + length) for start, length in zip(starts, lengths, strict=True)]
        parts = zip(ordered, places, strict=True)
        joined = total(build, [put_back(build, each.part, axis, where, size) for each, where in parts])
    return Sliced(replace(joined, of=within.part(of)), within, of)


def sliced_by_node(step: Step) -> Sliced | None:
    """Return the gradient of the tensor that a Gather or Slice reads, if it reads a range of one axis."""
    if step.required != [0] or set(step.gradients) != {0}:
        return None
    whole = step.shape_of(0)
    reader = {"Gather": _range_of_gather, "Slice": _range_of_slice}.get(step.node.op_type)
    within = None if reader is None else reader(step, whole)
    if within is None or whole.dims[within.axis] == within.stop - within.start:
        return None
    gradient, of = step.gradient, within.part(whole)
    if gradient.of.rank == of.rank:
        return Sliced(replace(gradient, of=of), within, whole)
    # Gather with a single number as its index drops the axis.
    name = unsqueeze(step.build, gradient.name, [within.axis])
    spread = frozenset(axis + (axis >= within.axis) for axis in gradient.spread)
    return Sliced(Cotangent(name, of, spread), within, whole)


def _range_of_gather(step: Step, whole: Sized) -> AxisRange | None:
    axis = step.node.attribute("axis", 0) % whole.rank
    size, indices = whole.dims[axis], step.view.constant(step.node.inputs[1])
    if size is None or indices is None or indices.ndim > 1 or indices.size == 0:
        return None
    places = [int(index) % size for index in indices.ravel()]
    found = AxisRange(axis, places[0], places[0] + len(places))
    return found if places == list(range(found.start, found.stop)) else None


def _range_of_slice(step: Step, whole: Sized) -> AxisRange | None:
    chosen = {}
    for axis, bounds in slices_of(step, whole.rank).items():
        size = step.known_size(whole, axis)
        places = range(size)[bounds]
        if places != range(size):
            chosen[axis] = places
    if len(chosen) != 1:
        return None
    ((axis, places),) = chosen.items()
    return AxisRange(axis, places.start, places.stop) if places.step == 1 and len(places) else None
