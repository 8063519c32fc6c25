"""Placement of slices of a gradient at the places along an axis that they were read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.cotangent import Cotangent, dense, total
from spyglass_export.gradcam.sizes import Sized


def put_back(
    build: GraphBuilder, gradient: Cotangent, axis: int, places: Sequence[int], size: int
) -> Cotangent:
    """Return the gradient of a tensor of `size` along `axis` whose slices at `places` were read.

    `gradient` holds the slices in the order of `places`. A place that was read more than once gets the sum;
    a place that was not read gets zeros.
    """
    gradient = dense(build, gradient, [axis])
    readings = _readings(places)
    if len(readings) == 1:
        return _scatter(build, gradient, axis, places, size)
    return total(build, [_of_reading(build, gradient, axis, places, one, size) for one in readings])


def put_side_by_side(build: GraphBuilder, pieces: Mapping[int, Cotangent], axis: int, size: int) -> Cotangent:
    """Return the gradient of a tensor of `size` along `axis`, with zeros around `pieces`.

    The keys of `pieces` are the first place of each; they do not overlap. The size of each along `axis` is
    known.
    """
    ordered = sorted(pieces.items())
    sizes = [_known(piece, axis) for _, piece in ordered]
    ends = [start + length for (start, _), length in zip(ordered, sizes, strict=True)]
    adjacent = all(end == start for end, (start, _) in zip(ends, ordered[1:], strict=False))
    if not adjacent:
        apart = [
            put_back(build, piece, axis, range(start, start + length), size)
            for (start, piece), length in zip(ordered, sizes, strict=True)
        ]
        return total(build, apart)
    joined = ordered[0][1]
    if len(ordered) > 1:
        full = [dense(build, piece) for _, piece in ordered]
        name = build.add("Concat", *(piece.name for piece in full), axis=axis)
        joined = Cotangent(name, _resized(full[0], axis, sum(sizes)))
    return put_back(build, joined, axis, range(ordered[0][0], ends[-1]), size)


def _known(gradient: Cotangent, axis: int) -> int:
    size = gradient.of.dims[axis]
    assert size is not None
    return size


def _resized(gradient: Cotangent, axis: int, size: int) -> Sized:
    dims = (*gradient.of.dims[:axis], size, *gradient.of.dims[axis + 1 :])
    return Sized(gradient.of.name, dims)


def _readings(places: Sequence[int]) -> list[list[int]]:
    """Positions in `places`, grouped so that no group reads a place twice."""
    groups: list[list[int]] = []
    times_read: dict[int, int] = {}
    for position, place in enumerate(places):
        times = times_read.get(place, 0)
        times_read[place] = times + 1
        if times == len(groups):
            groups.append([])
        groups[times].append(position)
    return groups


def _of_reading(
    build: GraphBuilder,
    gradient: Cotangent,
    axis: int,
    places: Sequence[int],
    positions: list[int],
    size: int,
) -> Cotangent:
    name = build.add("Gather", gradient.name, build.integers(positions), axis=axis)
    part = replace(gradient, name=name)
    return _scatter(build, part, axis, [places[position] for position in positions], size)


def _scatter(
    build: GraphBuilder, gradient: Cotangent, axis: int, places: Sequence[int], size: int
) -> Cotangent:
    rank = gradient.of.rank
    first = min(places)
    if list(places) == list(range(first, first + len(places))):
        name = _pad(build, gradient.name, rank, axis, first, size - first - len(places))
    else:
        padded = _pad(build, gradient.name, rank, axis, 0, 1)
        name = build.add("Gather", padded, build.integers(_inverse(places, size)), axis=axis)
    return replace(gradient, name=name, of=_resized(gradient, axis, size))


def _inverse(places: Sequence[int], size: int) -> list[int]:
    """For each place the index of its slice; places without one get the index after the last, of zeros."""
    inverse = np.full(size, len(places))
    inverse[list(places)] = range(len(places))
    return [int(position) for position in inverse]


def _pad(build: GraphBuilder, name: str, rank: int, axis: int, before: int, after: int) -> str:
    if before == after == 0:
        return name
    pads = np.zeros((2, rank), np.int64)
    pads[:, axis] = before, after
    return build.add("Pad", name, build.integers(pads.ravel()))
