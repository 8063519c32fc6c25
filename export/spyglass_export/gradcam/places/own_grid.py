"""The grid that a tensor fills: all places of it occur in the tensor."""

from __future__ import annotations

import numpy as np

from spyglass_export.gradcam.places.grid import Grid, Numbers, is_evenly_spread
from spyglass_export.gradcam.places.lattice import find_lattice
from spyglass_export.gradcam.places.located import Located, located


def on_grid_of_its_own(places: Located) -> Located | None:
    """Return the places of a tensor on a grid whose places all occur in it, None if it fills none.

    That is its own grid, a coarser one for every second row and column of a map, or a finer one for a map
    enlarged by pixel shuffle. A crop fills no grid over the image.
    """
    return _coarsened(_enlarged(_filled(places)))


def _filled(places: Located) -> Located:
    """The places with those of the numbers beside, along an axis of channels.

    Channels that are a constant or a mixture, such as the mean of the image, lie at the places of the other
    channels. A class token does not: its axis holds many places.
    """
    base = places.base
    if (base >= 0).all():
        return places
    for axis in range(base.ndim):
        lowest = np.where(base >= 0, base, np.iinfo(np.int32).max).min(axis=axis, keepdims=True)
        highest = base.max(axis=axis, keepdims=True)
        if ((base >= 0) & (lowest != highest)).any():
            continue
        base = np.where((base < 0) & (highest >= 0), highest, base).astype(np.int32)
    compact = located(base, places.grid, places.of_pixels)
    return Located(compact.base, places.shape, compact.grid, places.of_pixels)


def _enlarged(places: Located) -> Located:
    """The places on a finer grid if each is repeated evenly along two axes, as pixel shuffle does."""
    varied = [axis for axis in range(1, len(places.shape)) if places.base.shape[axis] > 1]
    lattice = find_lattice(places, varied, [0] * len(varied))
    if lattice is None or places.grid is None:
        return places
    finer = places.shape[lattice.rows] > places.grid.height, places.shape[lattice.columns] > places.grid.width
    return (lattice.resized(places.shape) if all(finer) else None) or places


def _coarsened(places: Located) -> Located | None:
    """The places on the grid of those that occur, such as every second row and column of a larger grid."""
    assert places.grid is not None
    grid, base = places.grid, places.base
    occurring = np.bincount(base[base >= 0] % grid.size, minlength=grid.size)
    used = np.flatnonzero(occurring).astype(np.int32)
    if len(used) == grid.size:
        return places if min(grid.height, grid.width) > 1 else None
    rows, columns = np.unique(grid.row(used)), np.unique(grid.column(used))
    if len(used) != len(rows) * len(columns):
        return None
    if not (_spans(rows, grid.height) and _spans(columns, grid.width)):
        return None
    own = Grid(len(rows), len(columns))
    row, column = (
        np.searchsorted(lines, line).astype(np.int32)
        for lines, line in ((rows, grid.row(base)), (columns, grid.column(base)))
    )
    moved = np.where(base < 0, base, own.places(grid.image(base), row, column)).astype(np.int32)
    return Located(moved, places.shape, own, places.of_pixels)


def _spans(lines: Numbers, size: int) -> bool:
    """Whether rows or columns are evenly spread and leave out less than one step at each end: no crop."""
    if not is_evenly_spread(lines, size):
        return False
    step = (lines[-1] - lines[0]) / (len(lines) - 1)
    return bool(lines[0] < step and size - 1 - lines[-1] < step)
