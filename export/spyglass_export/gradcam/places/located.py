"""The places of the numbers of one tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from spyglass_export.gradcam.places.grid import MIXED, NOWHERE, Grid, Numbers

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Located:
    """The place of each number of a tensor of `shape`: a place of `grid`, NOWHERE or MIXED.

    `base` has size 1 along axes where the place stays the same; it broadcasts to `shape`. `grid` is None if
    no number has a place. `of_pixels` says that the grid is that of the image's pixels.
    """

    base: Numbers
    shape: Shape
    grid: Grid | None
    of_pixels: bool = False

    @property
    def full(self) -> Numbers:
        """The places as a view in the tensor's own shape."""
        return np.broadcast_to(self.base, self.shape)

    def moved(self, move: Callable[[Numbers], Numbers]) -> Located:
        """Return the places after an operator that only moves numbers."""
        return self.with_full(move(self.full))

    def with_full(self, full: Numbers) -> Located:
        """Return these places replaced by others of the same grid."""
        return located(full, self.grid, self.of_pixels)

    def kept(self, shape: Shape) -> Located:
        """Return the same places in a shape that differs only in axes along which they stay the same."""
        return replace(self, shape=shape)


def located(full: Numbers, grid: Grid | None, of_pixels: bool) -> Located:
    """Return the places `full` in compact form."""
    base = _compact(full)
    if grid is not None and base.size and int(base.max()) < 0:
        grid, of_pixels = None, False
    return Located(base, full.shape, grid, of_pixels)


def nowhere(shape: Shape) -> Located:
    """Return the places of a tensor whose numbers belong to no place."""
    return _all(NOWHERE, shape)


def mixed(shape: Shape) -> Located:
    """Return the places of a tensor whose numbers each mix several places."""
    return _all(MIXED, shape)


def _all(mark: int, shape: Shape) -> Located:
    return Located(np.full((1,) * len(shape), mark, np.int32), shape, None)


def _compact(full: Numbers) -> Numbers:
    """An array of size 1 along the axes where `full` stays the same."""
    base = full
    for axis, (size, stride) in enumerate(zip(full.shape, full.strides, strict=True)):
        if size > 1:
            first = base[(slice(None),) * axis + (slice(0, 1),)]
            if stride == 0 or bool((base == first).all()):
                base = first
    return np.ascontiguousarray(base, np.int32) if base.ndim else base.astype(np.int32)
