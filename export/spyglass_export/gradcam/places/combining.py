"""The places of a result whose numbers each come from one number of every operand."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce as fold

import numpy as np

from spyglass_export.gradcam.places.grid import MIXED, NOWHERE, Grid, Numbers
from spyglass_export.gradcam.places.located import Located, Shape, located, mixed
from spyglass_export.gradcam.places.traced import Traced, traced_mixed


def combined(operands: Iterable[Traced]) -> Traced:
    """Return the places of an elementwise result. Raises ValueError if the shapes do not broadcast."""
    return fold(_beside, operands)


def _beside(one: Traced, other: Traced) -> Traced:
    shape = np.broadcast_shapes(one.shape, other.shape)
    if one.others is None and other.others is None:
        return Traced(beside(one.places, other.places, shape))
    pair, single = (one, other) if one.others is not None else (other, one)
    assert pair.others is not None
    if pair.others.grid is None and single.others is None and single.places.grid is not None:
        # Features times their shares of attention.
        return Traced(beside(single.places, pair.places, shape))
    if single.others is not None:
        agree = all(
            _agrees(left, right, shape)
            for left, right in ((pair.places, single.places), (pair.others, single.others))
        )
    else:
        agree = _agrees(single.places, pair.places, shape) or _agrees(single.places, pair.others, shape)
    if not agree:
        return traced_mixed(shape)
    return Traced(_broadcast(pair.places, shape), _broadcast(pair.others, shape))


def beside(one: Located, other: Located, shape: Shape) -> Located:
    """Return the places of numbers that are each computed from a number of `one` and a number of `other`.

    Equal places stay. A place beside no place, or beside a mixture, is the place: the residual of a mixer
    names the token, and a gate for the whole image leaves the place as it is. Two places are a mixture.
    """
    if one.grid is None or other.grid is None:
        placed, rest = (other, one) if one.grid is None else (one, other)
        if placed.grid is not None and _covers(placed):
            return _broadcast(placed, shape)
        return _merged(placed, rest.base, placed.grid, shape, placed.of_pixels)
    if one.grid != other.grid:
        return _of_two_grids(one, other, shape)
    of_pixels = one.of_pixels and other.of_pixels
    return _merged(one, other.base, one.grid, shape, of_pixels)


def conflicts(one: Located, other: Located, shape: Shape) -> bool:
    """Return whether somewhere two different places meet."""
    if one.grid is None or other.grid is None:
        return False
    if one.grid != other.grid:
        return True
    left, right = _aligned(one.base, shape), _aligned(other.base, shape)
    return bool(((left >= 0) & (right >= 0) & (left != right)).any())


def _agrees(one: Located, other: Located, shape: Shape) -> bool:
    return not conflicts(one, other, shape)


def _covers(one: Located) -> bool:
    """Whether every number has a place."""
    return bool((one.base >= 0).all())


def _broadcast(one: Located, shape: Shape) -> Located:
    return Located(_aligned(one.base, shape), shape, one.grid, one.of_pixels)


def _aligned(base: Numbers, shape: Shape) -> Numbers:
    return base.reshape((1,) * (len(shape) - base.ndim) + base.shape)


def _merged(one: Located, second: Numbers, grid: Grid | None, shape: Shape, of_pixels: bool) -> Located:
    left, right = _aligned(one.base, shape), _aligned(second, shape)
    if left.shape == right.shape and np.array_equal(left, right):
        return Located(left, shape, grid, of_pixels)
    several = (left >= 0) & (right >= 0) & (left != right)
    merged = np.where(several, MIXED, np.maximum(left, right))
    # Where neither has a place, a mixture beside no place is a mixture.
    merged = np.where(merged == NOWHERE, np.minimum(left, right), merged)
    compact = located(merged.astype(np.int32), grid, of_pixels)
    return Located(compact.base, shape, compact.grid, compact.of_pixels)


def _of_two_grids(one: Located, other: Located, shape: Shape) -> Located:
    """The places of numbers from two grids, if each place of the finer grid lies in that of the coarser.

    The result has the finer grid if all of its places occur. Otherwise it has the coarser one: a strided
    slice of a map beside the result of a strided convolution.
    """
    assert one.grid is not None and other.grid is not None
    fine, coarse = (one, other) if one.grid.size > other.grid.size else (other, one)
    assert fine.grid is not None and coarse.grid is not None
    within = _within(fine.base, fine.grid, coarse.grid)
    left, right = _aligned(within, shape), _aligned(coarse.base, shape)
    if ((left >= 0) & (right >= 0) & (left != right)).any():
        return mixed(shape)
    occurring = np.bincount(fine.base[fine.base >= 0] % fine.grid.size, minlength=fine.grid.size)
    if occurring.all():
        unplaced = np.where(coarse.base >= 0, NOWHERE, coarse.base).astype(np.int32)
        return _merged(fine, unplaced, fine.grid, shape, fine.of_pixels)
    moved = Located(within, fine.shape, coarse.grid)
    return _merged(moved, coarse.base, coarse.grid, shape, False)


def _within(places: Numbers, fine: Grid, coarse: Grid) -> Numbers:
    """The places of the coarse grid that the centres of fine places lie in."""
    row = (2 * fine.row(places) + 1) * coarse.height // (2 * fine.height)
    column = (2 * fine.column(places) + 1) * coarse.width // (2 * fine.width)
    return np.where(places < 0, places, coarse.places(fine.image(places), row, column)).astype(np.int32)
