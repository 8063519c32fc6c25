"""Whether a map's cells lie where the image says: change a part of it, and see which cell changes most.

Nothing here knows how a network arranges its tokens or windows, so this check is independent of both sides
of the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from zoo.networks import fed
from zoo.recording import record
from zoo.references import Arrangement

# A receptive field is not exactly centred: strides and padding move it.
_NEAR = 1


def located(
    model: nn.Module, pixels: NDArray[np.uint8], index: int, arrangement: Arrangement
) -> tuple[int, int]:
    """Return how many of the tried cells change most when their part of the image changes, and how many.

    `pixels` is one image, uint8 [1, height, width, 3]; `index` is that of the tensor in `record`. A cell
    beside the expected one counts. In a network of random weights whose cells depend on the whole image,
    some cells may fail; a wrong arrangement makes most of them fail.
    """
    before = _cells(model, pixels, index, arrangement)
    found = 0
    cells = _tried(arrangement.height, arrangement.width)
    for row, column in cells:
        after = _cells(model, _changed(pixels, arrangement, row, column), index, arrangement)
        change = np.linalg.norm(after - before, axis=-1)
        most = np.unravel_index(change.argmax(), change.shape)
        found += max(abs(int(most[0]) - row), abs(int(most[1]) - column)) <= _NEAR
    return found, len(cells)


def _tried(height: int, width: int) -> Sequence[tuple[int, int]]:
    """The corners and some cells between them."""
    rows, columns = (0, height // 3, height - 1), (0, 2 * width // 3, width - 1)
    return [(row, column) for row in rows for column in columns]


def _changed(pixels: NDArray[np.uint8], arrangement: Arrangement, row: int, column: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[1:3]
    top, left = row * height // arrangement.height, column * width // arrangement.width
    bottom = -(-(row + 1) * height // arrangement.height)
    right = -(-(column + 1) * width // arrangement.width)
    changed = pixels.copy()
    noise = np.random.default_rng(row * 1000 + column).integers(0, 256, (bottom - top, right - left, 3))
    changed[:, top:bottom, left:right] = noise
    return changed


def _cells(
    model: nn.Module, pixels: NDArray[np.uint8], index: int, arrangement: Arrangement
) -> NDArray[np.float32]:
    tensor = record(model, fed(pixels)).tensors[index].detach()
    cells: NDArray[np.float32] = arrangement.arranged(tensor).numpy()
    return cells
