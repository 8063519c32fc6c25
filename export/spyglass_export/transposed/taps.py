"""Plain convolutions whose weights are picked from the kernel of another convolution."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Taps:
    """A plain convolution of stride 1 along one axis: its weights in order, and its padding.

    `kernel` holds the places of the weights in the other kernel; None stands for a weight of zero.
    """

    kernel: tuple[int | None, ...]
    begin: int
    end: int


def taps(places: Iterable[int], size: int, *, begin: int, end: int) -> Taps:
    """Return the convolution with the weights at `places` of a kernel of `size`; outside it they are zero."""
    return Taps(tuple(place if 0 <= place < size else None for place in places), begin, end)


def picked(weight: NDArray[np.float32], rows: Taps, columns: Taps) -> NDArray[np.float32]:
    """Return those of the weights [channels, channels, height, width] at `rows` and `columns`."""
    # None picks the zeros at the end of both axes.
    padded = np.pad(weight, [(0, 0), (0, 0), (0, 1), (0, 1)])
    return padded[:, :, _places(rows)][:, :, :, _places(columns)]


def _places(taps: Taps) -> list[int]:
    return [-1 if place is None else place for place in taps.kernel]


def pads(rows: Taps, columns: Taps) -> list[int]:
    """Return the padding of both axes in ONNX's order."""
    return [rows.begin, columns.begin, rows.end, columns.end]
