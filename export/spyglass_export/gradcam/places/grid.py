"""A regular grid of places over each image of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int32]

# Marks of numbers that belong to no place (constants, class tokens), and of those that mix several places.
NOWHERE = -1
MIXED = -2

# A part of the image may be cut off before the places are named: at most a quarter of each side.
_LEAST_COVERED = 0.75
# And at each end of a side, or one row or column. A place is then at most so far from where it is drawn.
_MOST_CUT = 1 / 16


@dataclass(frozen=True)
class Grid:
    """`height` x `width` places.

    The place at row y and column x of image i is i·height·width + y·width + x.
    """

    height: int
    width: int

    @property
    def size(self) -> int:
        """Number of places in one image."""
        return self.height * self.width

    def image(self, places: Numbers) -> Numbers:
        """Return the image of each place."""
        return places // self.size

    def row(self, places: Numbers) -> Numbers:
        """Return the row of each place, counted from the top of the image."""
        return places % self.size // self.width

    def column(self, places: Numbers) -> Numbers:
        """Return the column of each place, counted from the left of the image."""
        return places % self.width

    def places(self, image: Numbers, row: Numbers, column: Numbers) -> Numbers:
        """Return the places of rows and columns; the arguments broadcast."""
        return (image * self.size + row * self.width + column).astype(np.int32)


def is_evenly_spread(coordinates: Sequence[int] | Numbers, size: int) -> bool:
    """Return whether rows or columns, in this order, run evenly over a side of `size` places.

    They may run backwards, skip places or repeat them. Two at least must differ.
    """
    found = np.asarray(coordinates)
    if len(found) < 2 or found[0] == found[-1]:
        return False
    step = (found[-1] - found[0]) / (len(found) - 1)
    straight = np.linspace(found[0], found[-1], len(found))
    covered = abs(found[-1] - found[0]) + max(abs(step), 1)
    even = bool(np.abs(found - straight).max() <= max(abs(step), 1))
    return even and covered >= _LEAST_COVERED * size


def reaches_both_ends(coordinates: Sequence[int] | Numbers, size: int) -> bool:
    """Return whether evenly spread rows or columns leave out little at each end of a side of `size` places.

    Little is one line, or a 16th of the side, besides the lines between two of them. A crop in the middle of
    the image that keeps 7/8 of the side does so; the same crop in a corner of the image does not.
    """
    found = np.asarray(coordinates)
    low, high = int(found.min()), int(found.max())
    step = (high - low) / max(len(found) - 1, 1)
    return max(low, size - 1 - high) <= max(step, 1) - 1 + max(size * _MOST_CUT, 1)
