"""Where the pixels of an image lie between the cells of a map that covers a box of it.

Values are those of `heatmaps`: bilinear between the centres of the cells, and beyond the outermost centres
they stay as they are. A pixel belongs to the map where its centre lies within the box.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# So many pixels are interpolated at once, a quarter of a megabyte for each array, or four times as many
# between the same two rows of cells: there is less to do for each of them.
_STRIP_PIXELS = 65_536
_ROWS_OF_ONE_CELL = 4


@dataclass(frozen=True)
class Rows:
    """Some rows of pixels, and the rows of cells that they lie between."""

    # Of cells, int [n]; and for each row of pixels which of these it lies between: int [pixels], or [1] where
    # that is the same for all.
    cells: NDArray[np.intp]
    above: NDArray[np.intp]
    below: NDArray[np.intp]
    # float32 [pixels, 1]: how far each is from the one to the other.
    weight: NDArray[np.float32]


@dataclass(frozen=True)
class Axis:
    """One side of an image over one side of a map."""

    # How many cells the map has along this side.
    cells: int
    # The pixels that the map covers begin at this one.
    start: int
    # For each of them the cell whose centre is at or before its own, int [pixels], ascending,
    lower: NDArray[np.intp]
    # the cell after that one, or the last cell itself,
    upper: NDArray[np.intp]
    # and how far it is on its way from the one to the other: float32 [pixels] in [0, 1).
    weight: NDArray[np.float32]

    @property
    def stop(self) -> int:
        """Where the pixels that the map covers end."""
        return self.start + len(self.lower)

    @property
    def weights_of_cells(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """For each cell: what its pixels take of it, and what they take of the next one; float64 [cells]."""
        upper = np.asarray(np.bincount(self.lower, self.weight, self.cells), np.float64)
        return np.bincount(self.lower, minlength=self.cells) - upper, upper

    def strips(self, columns: int) -> Iterator[slice]:
        """The pixels along this side, counted from `start`, as many at a time as are interpolated at once.

        `columns` is how many there are along the other side. A strip ends between two cells where it can.
        """
        step, first, end = max(1, _STRIP_PIXELS // max(1, columns)), 0, len(self.lower)
        while first < end:
            stop = self._stop_of_strip(first, step)
            yield slice(first, stop)
            first = stop

    def rows(self, strip: slice) -> Rows:
        """The rows of one strip."""
        lower, upper, weight = self.lower[strip], self.upper[strip], self.weight[strip, np.newaxis]
        first, count = lower[0], upper[-1] - lower[0] + 1
        if lower[0] == lower[-1]:
            return Rows(np.arange(first, first + count), lower[:1] - first, upper[:1] - first, weight)
        if count <= 2 * len(lower):
            return Rows(np.arange(first, first + count), lower - first, upper - first, weight)
        # An image smaller than the map leaves cells out.
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
    """A side of `pixels` pixels, of which `cells` cells cover the part from `begin` to `end` evenly."""
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
    """Rows and columns of pixels, counted from where the map begins, of float32 [rows, columns] of cells."""
    first, second, weight = across.lower[columns], across.upper[columns], across.weight[columns]
    lines = plane[rows.cells]
    level = _between(lines[:, first], lines[:, second], weight)
    return _between(level[rows.above], level[rows.below], rows.weight)


def _between(
    first: NDArray[np.float32], second: NDArray[np.float32], weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """From `first` (`weight` 0) to `second` (1).

    In this form, and not as first + weight · (second - first), rounding keeps what is larger at both ends
    from being smaller between them.
    """
    return first * (1 - weight) + second * weight
