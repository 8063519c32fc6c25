"""The cells of a network's output that cover some of the image, and not only its padding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.images.geometry import Box

_Value = TypeVar("_Value", bound=np.generic)

# An overlap of less than this part of a cell is the rounding of its edges.
_SLIVER = 1e-6


@dataclass(frozen=True)
class SeenCells:
    """The rows and columns of a network's output that cover some of the image."""

    # (rows, columns) of the whole output.
    shape: tuple[int, int]
    rows: slice
    columns: slice
    # The box that these cells cover evenly, in the image's pixels: left, top, right, bottom.
    box: Box

    @classmethod
    def of(cls, box: Box, width: int, height: int, shape: tuple[int, int]) -> SeenCells:
        """Return the cells of an output of `shape` that covers `box` of an image of `width` × `height`."""
        left, top, right, bottom = box
        rows, top, bottom = _seen(shape[0], top, bottom, height)
        columns, left, right = _seen(shape[1], left, right, width)
        return cls(shape, rows, columns, (left, top, right, bottom))

    def select(self, output: NDArray[_Value]) -> NDArray[_Value]:
        """Return these cells of the whole output, [rows, columns, …]."""
        return output[self.rows, self.columns]

    def spread(self, values: NDArray[_Value], outside: int) -> NDArray[_Value]:
        """Return [rows, columns] of the whole output: `values` in these cells, and `outside` elsewhere."""
        whole = np.full(self.shape, outside, values.dtype)
        whole[self.rows, self.columns] = values
        return whole


def _seen(cells: int, begin: float, end: float, pixels: int) -> tuple[slice, float, float]:
    """Return the cells between `begin` and `end` that overlap the pixels 0 to `pixels`, and their edges."""
    pace = (end - begin) / cells
    first = max(math.floor(-begin / pace + _SLIVER), 0)
    stop = min(math.ceil((pixels - begin) / pace - _SLIVER), cells)
    return slice(first, stop), begin + first * pace, end - (cells - stop) * pace
