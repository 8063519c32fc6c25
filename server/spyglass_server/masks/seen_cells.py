"""The cells of a network's output that show some of the image, and not only what it was padded with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.images.geometry import Box

_Value = TypeVar("_Value", bound=np.generic)

# Of a cell: what a box overlaps by less is the rounding of its edges.
_SLIVER = 1e-6


@dataclass(frozen=True)
class SeenCells:
    """Some rows and columns of a network's output."""

    # Of the whole output: how many rows and columns it has.
    shape: tuple[int, int]
    rows: slice
    columns: slice
    # What these cells cover evenly, in the image's pixels: left, top, right, bottom.
    box: Box

    @classmethod
    def of(cls, box: Box, width: int, height: int, shape: tuple[int, int]) -> SeenCells:
        """Of an output of `shape` cells that cover `box` of an image of `width` × `height` pixels evenly."""
        left, top, right, bottom = box
        rows, top, bottom = _seen(shape[0], top, bottom, height)
        columns, left, right = _seen(shape[1], left, right, width)
        return cls(shape, rows, columns, (left, top, right, bottom))

    def taken_from(self, output: NDArray[_Value]) -> NDArray[_Value]:
        """These cells of [rows, columns, …] of the whole output."""
        return output[self.rows, self.columns]

    def spread(self, values: NDArray[_Value], outside: int) -> NDArray[_Value]:
        """[rows, columns] of the whole output, with the values of these cells, and `outside` elsewhere."""
        whole = np.full(self.shape, outside, values.dtype)
        whole[self.rows, self.columns] = values
        return whole


def _seen(cells: int, begin: float, end: float, pixels: int) -> tuple[slice, float, float]:
    """Which of the cells from `begin` to `end` lie on the pixels from 0 to `pixels`, and where these lie."""
    pace = (end - begin) / cells
    first = max(math.floor(-begin / pace + _SLIVER), 0)
    stop = min(math.ceil((pixels - begin) / pace - _SLIVER), cells)
    return slice(first, stop), begin + first * pace, end - (cells - stop) * pace
