"""The jet colours: dark blue for 0, over cyan, yellow and red, to dark red for 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The piecewise linear curves of matplotlib's `jet`: the values of the corners, and their intensities.
_RED = ((0.0, 0.35, 0.66, 0.89, 1.0), (0.0, 0.0, 1.0, 1.0, 0.5))
_GREEN = ((0.0, 0.125, 0.375, 0.64, 0.91, 1.0), (0.0, 0.0, 1.0, 1.0, 0.0, 0.0))
_BLUE = ((0.0, 0.11, 0.34, 0.65, 1.0), (0.5, 1.0, 1.0, 0.0, 0.0))


def _table() -> NDArray[np.uint8]:
    values = np.linspace(0, 1, 256)
    curves = [np.interp(values, corners, intensities) for corners, intensities in (_RED, _GREEN, _BLUE)]
    return np.rint(np.stack(curves, axis=1) * 255).astype(np.uint8)


JET = _table()
"""uint8 [256, 3], RGB: the colour of each grey level."""
