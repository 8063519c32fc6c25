"""Tensors whose places run evenly along two axes, as operators with windows need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spyglass_export.gradcam.places.grid import Grid, Numbers, is_evenly_spread, reaches_both_ends
from spyglass_export.gradcam.places.located import Located, Shape, located


@dataclass(frozen=True)
class Lattice:
    """The places of an image run along two axes of a tensor, perhaps backwards.

    `rows` and `columns` are the axes of the tensor; `images` holds the image of each plane of these two
    axes, which have size 1 in it.
    """

    rows: int
    columns: int
    rows_backwards: bool
    columns_backwards: bool
    images: Numbers
    of_pixels: bool

    def resized(self, shape: Shape) -> Located | None:
        """Return the places of a tensor of `shape` that covers the same image with a grid of its own.

        None if the grid has fewer than two rows or columns.
        """
        grid = Grid(shape[self.rows], shape[self.columns])
        if min(grid.height, grid.width) < 2:
            return None
        row = _line(grid.height, self.rows_backwards, self.rows, len(shape))
        column = _line(grid.width, self.columns_backwards, self.columns, len(shape))
        base = located(grid.places(self.images, row, column), grid, self.of_pixels).base
        return Located(base, shape, grid, self.of_pixels)


def find_lattice(operand: Located, axes: Sequence[int], borders: Sequence[int]) -> Lattice | None:
    """Return the lattice along two of `axes`, None if the places do not run evenly there.

    `borders` are the most lines without a place that may lie at each end of each axis, as padding does.
    """
    varied = [axis for axis in axes if operand.base.shape[axis] > 1]
    repeated = [axis for axis in axes if operand.base.shape[axis] == 1 and operand.shape[axis] > 1]
    if operand.grid is None or len(varied) != 2 or repeated:
        return None
    planes = np.moveaxis(operand.base, varied, (-2, -1))
    lead = planes.shape[:-2]
    planes = planes.reshape(-1, *planes.shape[-2:])
    placed = planes[0] >= 0
    images = operand.grid.image(planes.reshape(len(planes), -1).max(axis=1))
    relative = np.where(planes >= 0, planes - (images * operand.grid.size)[:, None, None], planes)
    if not placed.any() or (relative != relative[0]).any() or relative[0].max() >= operand.grid.size:
        return None
    inner = _inner(placed, [borders[list(axes).index(axis)] for axis in varied])
    if inner is None:
        return None
    found = _orientation(relative[0][inner], operand.grid)
    if found is None:
        return None
    turned, rows_backwards, columns_backwards = found
    rows, columns = reversed(varied) if turned else varied
    spread = images.reshape(lead)
    for axis in sorted(varied):
        spread = np.expand_dims(spread, axis)
    return Lattice(rows, columns, rows_backwards, columns_backwards, spread, operand.of_pixels)


def _inner(placed: Numbers, borders: Sequence[int]) -> tuple[slice, slice] | None:
    """The rectangle of all numbers with a place, None if they fill none or its border is too wide."""
    inner = []
    for axis, border in enumerate(borders):
        used = np.flatnonzero(placed.any(axis=1 - axis))
        start, end = int(used[0]), int(used[-1]) + 1
        if max(start, placed.shape[axis] - end) > border:
            return None
        inner.append(slice(start, end))
    rectangle = (inner[0], inner[1])
    return rectangle if placed[rectangle].all() else None


def _orientation(plane: Numbers, grid: Grid) -> tuple[bool, bool, bool] | None:
    """Whether a plane is transposed, and whether its rows and columns of the image run backwards."""
    row, column = grid.row(plane), grid.column(plane)
    turned = bool((row == row[:1]).all())
    if turned:
        row, column = row.T, column.T
    if (row != row[:, :1]).any() or (column != column[:1]).any():
        return None
    down, across = row[:, 0], column[0]
    for lines, size in ((down, grid.height), (across, grid.width)):
        if not (is_evenly_spread(lines, size) and reaches_both_ends(lines, size)):
            return None
    return turned, bool(down[0] > down[-1]), bool(across[0] > across[-1])


def _line(size: int, backwards: bool, axis: int, rank: int) -> Numbers:
    line = np.arange(size, dtype=np.int32)
    shape = [1] * rank
    shape[axis] = size
    return (line[::-1] if backwards else line).reshape(shape)
