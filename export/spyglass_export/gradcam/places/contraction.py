"""The places of numbers that are each computed from many numbers along some axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spyglass_export.gradcam.places.grid import MIXED, NOWHERE, Grid, Numbers, is_evenly_spread
from spyglass_export.gradcam.places.located import Located, Shape, located
from spyglass_export.gradcam.places.traced import Traced, traced_mixed

_FAR = np.iinfo(np.int32).max


def summed(operand: Traced, axes: Sequence[int], *, blocks: bool) -> Traced:
    """Return the places of a tensor after a sum along `axes`, as `contracted` does.

    A matrix that compares places keeps the one that is single: attention summed over its keys belongs to the
    query.
    """
    if operand.others is None:
        return Traced(contracted(operand.places, axes, blocks=blocks))
    both = (operand.places, operand.others)
    first, second = (contracted(places, axes, blocks=False) for places in both)
    single = [
        after for before, after in zip(both, (first, second), strict=True) if not _mixes(before, after, axes)
    ]
    if len(single) == 1:
        return Traced(single[0])
    return Traced(first, second) if single else traced_mixed(first.shape)


def _mixes(before: Located, after: Located, axes: Sequence[int]) -> bool:
    """Return whether a sum along `axes` has made a mixture of places; a class token may have been one."""
    placed = before.base.max(axis=tuple(axes), keepdims=True) >= 0
    return bool(((after.base == MIXED) & placed).any())


def contracted(operand: Located, axes: Sequence[int], *, blocks: bool) -> Located:
    """Return the places after a sum, a maximum or a product with weights along `axes`, which get size 1.

    Numbers of a single place keep it; numbers of no place do not count beside them. With `blocks`, numbers
    that fill rectangles of a coarser grid get the places of that grid: patches, or the units of a pooling.
    Other numbers of several places become a mixture.
    """
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(operand.shape))
    varied = tuple(axis for axis in axes if operand.base.shape[axis] > 1)
    if not varied:
        return Located(operand.base, shape, operand.grid, operand.of_pixels)
    first, last = _range(operand.base, varied)
    several = (last >= 0) & (first != last)
    if blocks and operand.grid is not None and several.any():
        coarser = _blocks(operand, operand.grid, varied, shape)
        if coarser is not None:
            return coarser
    single = np.where(several, MIXED, last).astype(np.int32)
    unplaced = operand.base.min(axis=varied, keepdims=True)
    compact = located(np.where(last >= 0, single, unplaced).astype(np.int32), operand.grid, False)
    return Located(compact.base, shape, compact.grid)


def _range(base: Numbers, axes: tuple[int, ...]) -> tuple[Numbers, Numbers]:
    """The smallest and the largest place along some axes; the second is negative if there is none."""
    placed = np.where(base >= 0, base, _FAR)
    return placed.min(axis=axes, keepdims=True), base.max(axis=axes, keepdims=True)


def _blocks(operand: Located, grid: Grid, axes: tuple[int, ...], shape: Shape) -> Located | None:
    """The places of a coarser grid, None if the numbers do not fill rectangles of it."""
    base = np.moveaxis(operand.base, axes, range(-len(axes), 0))
    kept = base.shape[: base.ndim - len(axes)]
    groups = base.reshape(-1, int(np.prod(base.shape[len(kept) :])))
    used = groups.max(axis=1) >= 0
    if (found := _centres(groups[used], grid)) is None:
        return None
    image, rows, columns = found
    (heights, row), (widths, column) = (np.unique(each, return_inverse=True) for each in (rows, columns))
    coarse = Grid(len(heights), len(widths))
    # The centres are doubled, to be whole numbers.
    if not (is_evenly_spread(heights, 2 * grid.height) and is_evenly_spread(widths, 2 * grid.width)):
        return None
    if len(np.unique(row * coarse.width + column)) != coarse.size:
        return None
    places = np.full(len(groups), NOWHERE, np.int32)
    places[used] = coarse.places(image, row.astype(np.int32), column.astype(np.int32))
    full = places.reshape(kept)
    for axis in sorted(axes):
        full = np.expand_dims(full, axis)
    compact = located(full, coarse, False)
    return Located(compact.base, shape, compact.grid)


def _centres(groups: Numbers, grid: Grid) -> tuple[Numbers, Numbers, Numbers] | None:
    """Image, and twice the row and the column of the centre, of each group [groups, numbers].

    None if a group does not fill a rectangle of one image.
    """
    placed = groups >= 0
    image = grid.image(groups.max(axis=1))
    if (np.where(placed, grid.image(groups), image[:, None]) != image[:, None]).any():
        return None
    centres, area = [], np.ones(len(groups), np.int64)
    for line in (grid.row(groups), grid.column(groups)):
        low = np.where(placed, line, _FAR).min(axis=1)
        high = np.where(placed, line, -1).max(axis=1)
        area *= high - low + 1
        centres.append((low + high).astype(np.int32))
    if (_distinct(groups) != area).any():
        return None
    return image, centres[0], centres[1]


def _distinct(groups: Numbers) -> Numbers:
    """The number of different places in each group."""
    ordered = np.sort(groups, axis=1)
    new = (np.diff(ordered, axis=1) != 0) & (ordered[:, 1:] >= 0)
    return (new.sum(axis=1) + (ordered[:, 0] >= 0)).astype(np.int32)
