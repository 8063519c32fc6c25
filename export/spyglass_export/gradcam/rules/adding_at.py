"""Sums of a gradient at indices that a graph computes at run time."""

from __future__ import annotations

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.opset_forms import reduce, unsqueeze
from spyglass_export.gradcam.sizes import Size, scalar, vector

# Since this opset ScatterElements can add.
_SCATTER_ADDS = 16


def add_at(build: GraphBuilder, gradient: str, indices: str, rank: int, axis: int, size: Size) -> str:
    """Return a tensor of `size` along `axis` that holds at each index the sum of its numbers.

    `indices`, int64, broadcasts to the shape of `gradient`; both have the rank `rank`. The result has the
    sizes of `gradient` along the other axes. Indices may repeat, and negative ones count from the end.
    """
    if build.opset >= _SCATTER_ADDS:
        return _scattered(build, gradient, indices, rank, axis, size)
    return _by_comparison(build, gradient, indices, rank, axis, size)


def _scattered(build: GraphBuilder, gradient: str, indices: str, rank: int, axis: int, size: Size) -> str:
    shape = build.add("Shape", gradient)
    sizes: list[Size] = [
        size if each == axis else build.add("Gather", shape, build.integers([each]), axis=0)
        for each in range(rank)
    ]
    zeros = build.add("Expand", build.floats(0), vector(build, sizes))
    full = build.add("Expand", indices, shape)
    return build.add("ScatterElements", zeros, full, gradient, axis=axis, reduction="add")


def _by_comparison(build: GraphBuilder, gradient: str, indices: str, rank: int, axis: int, size: Size) -> str:
    """Compare each index with each place, and sum the numbers where they are equal."""
    length = scalar(build, size)
    places = build.add("Range", build.integers(0), length, build.integers(1))
    if following := rank - 1 - axis:
        places = unsqueeze(build, places, range(1, following + 1))
    found = unsqueeze(build, build.add("Mod", indices, length), [axis + 1])
    routed = build.add(
        "Where",
        build.add("Equal", found, places),
        unsqueeze(build, gradient, [axis + 1]),
        build.floats(0),
    )
    return reduce(build, "ReduceSum", routed, [axis], keepdims=False)
