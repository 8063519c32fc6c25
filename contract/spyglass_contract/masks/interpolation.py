"""Bilinear interpolation of a map that covers a box of an image.

As in `heatmaps`, values are interpolated between the centres of the map's cells and stay constant beyond the
outermost centres. The map covers a pixel if the pixel's centre lies in the box.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The number of pixels that are interpolated at once: a quarter of a megabyte for each array. Between the same
# two rows of cells there are four times as many, because each of them takes less work.
_STRIP_PIXELS = 65_536
_ROWS_OF_ONE_CELL = 4


@dataclass(frozen=True)
class Rows:
    """Some rows of pixels, and the rows of cells that they lie between."""

    # The rows of cells, int [n]. For each row of pixels, `above` and `below` are the indices into `cells` of
    # the two rows that it lies between: int [pixels], or [1] if all lie between the same two.
    cells: NDArray[np.intp]
    above: NDArray[np.intp]
    below: NDArray[np.intp]
    # float32 [pixels, 1], in [0, 1): the weight of the row below.
    weight: NDArray[np.float32]


@dataclass(frozen=True)
class Axis:
    """The pixels of one side of an image, and the cells of a map that they lie between."""

    # The number of cells along this side.
    cells: int
    # The first pixel that the map covers.
    start: int
    # For each covered pixel, the cell whose centre is at or before the pixel's: int [pixels], ascending.
    lower: NDArray[np.intp]
    # The cell after that one, or the last cell itself: int [pixels].
    upper: NDArray[np.intp]
    # The weight of the upper cell: float32 [pixels] in [0, 1).
    weight: NDArray[np.float32]

    @property
    def stop(self) -> int:
        """The pixel after the last one that the map covers."""
        return self.start + len(self.lower)

    @property
    def weights_of_cells(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The sums, over the pixels of each cell, of its weight and of the next one's: float64 [cells]."""
        upper = np.asarray(np.bincount(self.lower, self.weight, self.cells), np.float64)
        return np.bincount(self.lower, minlength=self.cells) - upper, upper

    def strips(self, columns: int) -> Iterator[slice]:
        """Yield the pixels that are interpolated at once, as slices that count from `start`.

        `columns` is the number of pixels along the other side. A strip ends between two cells if possible.
        """
        step, first, end = max(1, _STRIP_PIXELS // max(1, columns)), 0, len(self.lower)
        while first < end:
            stop = self._stop_of_strip(first, step)
            yield slice(first, stop)
            first = stop

    def rows(self, strip: slice) -> Rows:
        """Return the rows of one strip."""
        lower, upper, weight = self.lower[strip], self.upper[strip], self.weight[strip, np.newaxis]
        first, count = lower[0], upper[-1] - lower[0] + 1
        if lower[0] == lower[-1]:
            return Rows(np.arange(first, first + count), lower[:1] - first, upper[:1] - first, weight)
        if count <= 2 * len(lower):
            return Rows(np.arange(first, first + count), lower - first, upper - first, weight)
        # An image that is smaller than the map skips cells.
        place = np.arange(len(lower))
        return Rows(np.concatenate([lower, upper]), place, place + len(lower), weight)

    def _stop_of_strip(self, first: int, step: int) -> int:
        if first + step >= len(self.lower):
            return len(self.lower)
        begin_of_cell = int(np.searchsorted(self.lower, self.lower[first + step]))
        if begin_of_cell > first:
            return begin_of_cell
        end_of_cell = int(np.searchsorted(self.lower, self.lower[first], "right"))
        return min(end_of_cell, first + _ROWS_OF_ONE_CELL * step)


def axis(cells: int, begin: float, end: float, pixels: int) -> Axis:
    """Return the axis of `pixels` pixels, of which `cells` cells cover `begin` to `end` evenly."""
    centres = np.arange(pixels) + 0.5
    covered = np.flatnonzero((centres >= begin) & (centres < end))
    position = (centres[covered] - begin) * (cells / (end - begin))
    centre = np.clip(position - 0.5, 0, cells - 1)
    lower = centre.astype(np.intp)
    upper = np.minimum(lower + 1, cells - 1)
    start = int(covered[0]) if len(covered) else 0
    return Axis(cells, start, lower, upper, (centre - lower).astype(np.float32))


def interpolated(
    plane: NDArray[np.float32], rows: Rows, across: Axis, columns: NDArray[np.intp] | slice
) -> NDArray[np.float32]:
    """Return the values of a map, float32 [rows, columns] of cells, at rows and columns of pixels.

    `columns` counts from the first column that the map covers. The result is float32 [pixels, columns].
    """
    first, second, weight = across.lower[columns], across.upper[columns], across.weight[columns]
    lines = plane[rows.cells]
    level = _between(lines[:, first], lines[:, second], weight)
    return _between(level[rows.above], level[rows.below], rows.weight)


def _between(
    first: NDArray[np.float32], second: NDArray[np.float32], weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Interpolate from `first` (weight 0) to `second` (weight 1).

    In this form rounding keeps the order of two classes: one that is larger at both ends is not smaller
    between them. In the form first + weight · (second - first) it can be.
    """
    return first * (1 - weight) + second * weight
