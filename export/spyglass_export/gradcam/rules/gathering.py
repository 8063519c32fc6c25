"""Operators that read elements at indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from spyglass_export.gradcam.cotangent import Cotangent, dense
from spyglass_export.gradcam.opset_forms import reduce
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.rules.adding_at import add_at
from spyglass_export.gradcam.rules.placement import put_back
from spyglass_export.gradcam.sizes import Size, Sized, batch_axis, reshape, rows_like, size_of, vector
from spyglass_export.gradcam.step import Step

# Constant indices that read a place more often than this are treated like those computed at run time.
_MOST_READINGS = 8


@rule("Gather")
def gather(step: Step) -> Mapping[int, Cotangent]:
    """Add the slices of the gradient up at their indices."""
    whole, indices = step.shape_of(0), step.shape_of(1)
    axis = step.node.attribute("axis", 0) % whole.rank
    size = step.known_size(whole, axis)
    constant = step.view.constant(indices.name)
    if constant is None:
        step.keep_images_apart(indices, range(indices.rank))
    gradient = _with_one_axis(step, axis, indices)
    if constant is not None:
        places = [int(index) % size for index in constant.ravel()]
        if not places or np.bincount(places).max() <= _MOST_READINGS:
            return {0: replace(put_back(step.build, gradient, axis, places, size), of=whole)}
    gradient = dense(step.build, gradient, [axis])
    row = [-1 if each == axis else 1 for each in range(whole.rank)]
    numbers = reshape(step.build, _int64(step, indices), row)
    name = add_at(step.build, gradient.name, numbers, whole.rank, axis, size)
    return {0: replace(gradient, name=name, of=whole)}


def _with_one_axis(step: Step, axis: int, indices: Sized) -> Cotangent:
    """The gradient with a single axis for all indices, which may be a number or a table."""
    gradient, whole = step.gradient, step.shape_of(0)
    if indices.rank == 1:
        return gradient
    number = 1
    for each in range(indices.rank):
        number *= step.known_size(indices, each)
    sizes: list[Size] = rows_like(step.build, whole)
    sizes[axis] = number
    dims = (*whole.dims[:axis], number, *whole.dims[axis + 1 :])
    name = reshape(step.build, dense(step.build, gradient).name, sizes)
    return Cotangent(name, Sized(gradient.of.name, dims))


@rule("GatherElements")
def gather_elements(step: Step) -> Mapping[int, Cotangent]:
    """Add each element of the gradient up at its index."""
    whole, indices = step.shape_of(0), step.shape_of(1)
    axis = step.node.attribute("axis", 0) % whole.rank
    size = step.known_size(whole, axis)
    gradient = dense(step.build, step.gradient)
    name = add_at(step.build, gradient.name, _int64(step, indices), whole.rank, axis, size)
    margins = np.zeros((2, whole.rank), np.int64)
    for each in range(whole.rank):
        if each != axis and indices.dims[each] != whole.dims[each]:
            margins[1, each] = step.known_size(whole, each) - step.known_size(indices, each)
    if margins.any():
        name = step.build.add("Pad", name, step.build.integers(margins.ravel()))
    return {0: Cotangent(name, whole)}


@rule("TopK")
def largest(step: Step) -> Mapping[int, Cotangent]:
    """Return each value's gradient at the place of the value."""
    whole = step.shape_of(0)
    axis = step.node.attribute("axis", -1) % whole.rank
    size = step.known_size(whole, axis)
    gradient = dense(step.build, step.gradient)
    name = add_at(step.build, gradient.name, step.node.outputs[1], whole.rank, axis, size)
    return {0: Cotangent(name, whole)}


@rule("GatherND", rows_are_images=True)
def gather_by_coordinates(step: Step) -> Mapping[int, Cotangent]:
    """Add the slices of the gradient up at their coordinates, counted as places of a flattened stack."""
    build, whole, indices = step.build, step.shape_of(0), step.shape_of(1)
    shared = step.node.attribute("batch_dims", 0)
    depth = step.known_size(indices, indices.rank - 1)
    first, rest = shared + depth, rows_like(build, whole)[shared + depth :]
    batch = batch_axis(whole.dims)
    # The stack of slices: all axes up to the last indexed one as a single axis.
    room: Size = -1
    read: Size = -1
    if batch is None or batch >= first:
        rest = [size_of(build, whole, axis) if axis != batch else -1 for axis in range(first, whole.rank)]
        room = _product_of(step, whole, range(first))
        read = _product_of(step, indices, range(indices.rank - 1))
    else:
        stack = Sized(reshape(build, whole.name, [-1, *rest]), (None, *whole.dims[first:]))
        room = size_of(build, stack, 0)
    slices = reshape(build, dense(build, step.gradient).name, [read, *rest])
    places = reshape(build, _places(step, whole, shared, depth), [-1, *[1] * len(rest)])
    name = add_at(build, slices, places, 1 + len(rest), 0, room)
    return {0: Cotangent(reshape(build, name, rows_like(build, whole)), whole)}


def _places(step: Step, whole: Sized, shared: int, depth: int) -> str:
    """The place of each read slice in the stack of all slices, int64 [entries, slices of each]."""
    build, indices = step.build, step.shape_of(1)
    number = _product_of(step, indices, range(shared, indices.rank - 1)) if shared else -1
    table = reshape(build, _int64(step, indices), [-1, number, depth] if shared else [1, -1, depth])
    sizes = [size_of(build, whole, axis) for axis in range(shared, shared + depth)]
    inside = build.add("Mod", table, vector(build, sizes))
    inside = build.add("Mul", inside, build.integers(_strides(step, whole, shared, depth)))
    places = reduce(build, "ReduceSum", inside, [2], keepdims=False)
    return build.add("Add", places, _offsets(step, whole, shared, depth, places)) if shared else places


def _product_of(step: Step, tensor: Sized, axes: Sequence[int]) -> int:
    number = 1
    for axis in axes:
        number *= step.known_size(tensor, axis)
    return number


def _strides(step: Step, whole: Sized, shared: int, depth: int) -> list[int]:
    """Distance between neighbours along each indexed axis, in slices."""
    return [
        _product_of(step, whole, range(axis + 1, shared + depth)) for axis in range(shared, shared + depth)
    ]


def _offsets(step: Step, whole: Sized, shared: int, depth: int, places: str) -> str:
    """Number of slices before each entry of the shared axes: int64 [entries, 1]."""
    build = step.build
    slices = _product_of(step, whole, range(shared, shared + depth))
    entries = build.add("Gather", build.add("Shape", places), build.integers(0), axis=0)
    numbers = build.add("Range", build.integers(0), entries, build.integers(1))
    return reshape(build, build.add("Mul", numbers, build.integers(slices)), [-1, 1])


def _int64(step: Step, indices: Sized) -> str:
    if step.view.element(indices.name) == 7:
        return indices.name
    return step.build.add("Cast", indices.name, to=7)
