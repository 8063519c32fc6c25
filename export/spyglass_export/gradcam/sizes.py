"""Sizes of tensors for new nodes: plain numbers if they are known, otherwise computed at run time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.tensor_types import Dims

# A known size, or the name of an int64 tensor [1] that holds it.
Size = int | str


@dataclass(frozen=True)
class Sized:
    """A tensor and its dimensions, as far as they are known."""

    name: str
    dims: Dims

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.dims)


def size_of(build: GraphBuilder, tensor: Sized, axis: int) -> Size:
    """Return the size of a tensor along an axis."""
    known = tensor.dims[axis]
    if known is not None:
        return known
    return build.add("Gather", build.add("Shape", tensor.name), build.integers([axis]), axis=0)


def vector(build: GraphBuilder, sizes: Sequence[Size]) -> str:
    """Return sizes as one int64 tensor [len(sizes)]."""
    if all(isinstance(size, int) for size in sizes):
        return build.integers(sizes)
    parts = [size if isinstance(size, str) else build.integers([size]) for size in sizes]
    return build.add("Concat", *parts, axis=0)


def scalar(build: GraphBuilder, size: Size) -> str:
    """Return a size as an int64 scalar."""
    if isinstance(size, int):
        return build.integers(size)
    return build.add("Reshape", size, build.constant([], "int64"))


def count(build: GraphBuilder, tensor: Sized, axes: Sequence[int]) -> str:
    """Return the number of elements along some axes, a float32 scalar."""
    number = number_of(build, tensor, axes)
    if isinstance(number, int):
        return build.floats(number)
    return build.add("Cast", number, to=1)


def number_of(build: GraphBuilder, tensor: Sized, axes: Sequence[int]) -> Size:
    """Return the number of elements along some axes; if it is not known, an int64 scalar."""
    known = [tensor.dims[axis] for axis in axes]
    if None not in known:
        return math.prod(size for size in known if size is not None)
    total = scalar(build, 1)
    for axis in axes:
        total = build.add("Mul", total, scalar(build, size_of(build, tensor, axis)))
    return total


def batch_axis(dims: Dims) -> int | None:
    """Return the axis along which a tensor holds the images of a batch, None if every size is known.

    It is the first axis of unknown size: usually only the size of the batch is unknown. If every size is
    known, the tensor depends on no batch, or the file has a built-in batch.
    """
    return dims.index(None) if None in dims else None


def rows_like(build: GraphBuilder, tensor: Sized) -> list[Size]:
    """Return the sizes of a gradient of `tensor`, with -1 for its rows.

    The rows are along the axis of the batch, or along the first axis if every size is known.
    """
    free = batch_axis(tensor.dims) or 0
    return [-1 if axis == free else size_of(build, tensor, axis) for axis in range(tensor.rank)]


def reshape(build: GraphBuilder, name: str, sizes: Sequence[Size]) -> str:
    """Add a Reshape of a tensor; one size may be -1."""
    return build.add("Reshape", name, vector(build, sizes))
