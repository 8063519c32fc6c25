"""Maps of one grid of places on a finer grid over the same image.

Features are interpolated linearly between the centres of the places, as the server interpolates heatmaps. A
gradient is distributed: each fine place gets the part of a coarse place's gradient that is the part of its
area. So the sum of a gradient does not change.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.sizes import Sized, reshape

Grid = tuple[int, int]
# From sizes before and after to a matrix [after, before].
Weights = Callable[[int, int], npt.NDArray[np.float32]]


def interpolated(build: GraphBuilder, tensor: Sized, grid: Grid) -> Sized:
    """Return features [rows, height, width, channels] on another grid, float32 [rows, *grid, channels]."""
    return _changed(build, tensor, grid, interpolation)


def distributed(build: GraphBuilder, gradient: Sized, grid: Grid) -> Sized:
    """Return a gradient [rows, height, width, channels] on another grid, float32 [rows, *grid, channels]."""
    return _changed(build, gradient, grid, distribution)


def interpolation(before: int, after: int) -> npt.NDArray[np.float32]:
    """Return the weights of linear interpolation between centres, flat beyond the first and the last one."""
    centres = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    distances = np.abs(centres[:, None] - np.arange(before)[None, :])
    return np.maximum(1 - distances, 0).astype(np.float32)


def distribution(before: int, after: int) -> npt.NDArray[np.float32]:
    """Return the part of each interval before that lies in each interval after; each column has the sum 1."""
    starts, ends = (np.arange(after) + shift for shift in (0, 1))
    own = np.arange(before)
    low = np.maximum(starts[:, None] / after, own[None, :] / before)
    high = np.minimum(ends[:, None] / after, (own[None, :] + 1) / before)
    return (np.maximum(high - low, 0) * before).astype(np.float32)


def _changed(build: GraphBuilder, tensor: Sized, grid: Grid, weights: Weights) -> Sized:
    rows, height, width, channels = tensor.dims
    if (height, width) == grid:
        return tensor
    assert height is not None and width is not None and channels is not None
    lines = reshape(build, tensor.name, [-1, height, width * channels])
    lines = build.add("MatMul", build.floats(weights(height, grid[0])), lines)
    cells = reshape(build, lines, [-1, width, channels])
    cells = build.add("MatMul", build.floats(weights(width, grid[1])), cells)
    return Sized(reshape(build, cells, [-1, *grid, channels]), (rows, *grid, channels))
