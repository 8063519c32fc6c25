"""Baseline maps that ignore the image: a heatmap that does not beat them explains nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Fraction of each side: most of the weight is in the middle half.
_SIGMA = 1 / 4


def by_chance(rows: int, columns: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Return noise in [0, 1), float32 [rows, columns].

    It has the feature map's size, so that it is as smooth as a heatmap. Deleting single scattered pixels
    destroys an image faster than deleting a patch, so noise of the image's size would win for that alone.
    """
    return random.random((rows, columns), dtype=np.float32)


def centre(rows: int, columns: int) -> NDArray[np.float32]:
    """Return a Gaussian in the middle, float32 [rows, columns]: photographers put the object there."""
    down, across = _bell(rows), _bell(columns)
    return np.outer(down, across).astype(np.float32)


def _bell(size: int) -> NDArray[np.float64]:
    places = (np.arange(size) + 0.5) / size - 0.5
    bell: NDArray[np.float64] = np.exp(-np.square(places / _SIGMA) / 2)
    return bell
