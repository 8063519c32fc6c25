"""Recognition of index arithmetic: which axes of a tensor it picks from, and where it puts them.

Exporters write many plain operations as a Gather by computed positions: torch's dynamo exporter writes a view
of a tensor with the channels last, a roll, a flip, a cut into windows or an adaptive pooling in this way. If
each axis of the source is picked from by itself, and fills axes of the result of its own, the positions are
slices of single axes, and a transposition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spyglass_export.simplifying.positions import Positions


@dataclass(frozen=True)
class Arrangement:
    """For each axis of the source: the indices that are read along it, and the axes of the result they fill.

    The indices are None if the whole axis is read in order.
    """

    picks: tuple[tuple[int, ...] | None, ...]
    axes: tuple[tuple[int, ...], ...]

    def positions(self, dims: Sequence[int], result: Sequence[int]) -> Positions | None:
        """Return positions in a source of shape `dims`, in the shape `result`; None if they do not fit."""
        total = np.zeros(result, np.int64)
        strides = np.cumprod([1, *dims[:0:-1]])[::-1]
        for size, stride, picks, axes in zip(dims, strides, self.picks, self.axes, strict=True):
            read = np.arange(size) if picks is None else np.array(picks)
            shape = [length if axis in axes else 1 for axis, length in enumerate(result)]
            if read.size != np.prod(shape) or (picks is not None and read.max(initial=0) >= size):
                return None
            total += read.reshape(shape) * stride
        return total


def find_arrangement(positions: Positions, dims: Sequence[int]) -> Arrangement | None:
    """Return how positions in a source of shape `dims` are arranged, None if no axis stands by itself."""
    if positions.size == 0:
        return None
    picks: list[tuple[int, ...] | None] = []
    axes: list[tuple[int, ...]] = []
    for size, coordinates in zip(dims, np.unravel_index(positions, tuple(dims)), strict=True):
        filled = tuple(axis for axis in range(positions.ndim) if _varies(coordinates, axis))
        read = coordinates[tuple(slice(None) if axis in filled else 0 for axis in range(positions.ndim))]
        picks.append(None if np.array_equal(read.ravel(), np.arange(size)) else tuple(read.ravel().tolist()))
        axes.append(filled)
    found = Arrangement(tuple(picks), tuple(axes))
    rebuilt = found.positions(dims, positions.shape) if _are_own(axes, positions.shape) else None
    return found if rebuilt is not None and np.array_equal(rebuilt, positions) else None


def joined_axes(positions: Positions, dims: Sequence[int], apart: int) -> list[list[int]]:
    """Return the axes of the source, with neighbours that are addressed in pairs in one group.

    The axis `apart` stays by itself.
    """
    filled = [
        {axis for axis in range(positions.ndim) if _varies(coordinates, axis)}
        for coordinates in np.unravel_index(positions, tuple(dims))
    ]
    groups: list[list[int]] = [[0]]
    for axis in range(1, len(dims)):
        if apart not in (axis, axis - 1) and filled[axis] & filled[axis - 1]:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    return groups


def folded_dims(places: Positions, size: int) -> list[int] | None:
    """Return sizes of a flat axis of `size`, folded so that `places` are a transposition of its axes.

    None if the places are not a transposition of all numbers.
    """
    lengths = [length for length in places.shape if length > 1]
    if places.size != size or not lengths:
        return None
    squeezed = places.reshape(lengths)
    steps = [int(squeezed.take(1, axis).flat[0] - squeezed.flat[0]) for axis in range(len(lengths))]
    pairs = sorted(zip(steps, lengths, strict=True), reverse=True)
    folded = [length for _, length in pairs]
    expected = np.cumprod([1, *folded[:0:-1]])[::-1].tolist()
    return folded if [step for step, _ in pairs] == expected else None


def _varies(coordinates: Positions, axis: int) -> bool:
    return bool((coordinates != coordinates.take([0], axis)).any())


def _are_own(axes: Sequence[Sequence[int]], result: Sequence[int]) -> bool:
    """Return whether each axis of the result above 1 is filled by one axis of the source."""
    filled = [axis for each in axes for axis in each]
    needed = [axis for axis, size in enumerate(result) if size > 1]
    return sorted(filled) == needed
