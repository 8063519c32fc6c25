"""Plain convolutions that take their weights out of another one's kernel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Taps:
    """A plain convolution of stride 1 along one axis: its weights in their order, and its padding.

    `kernel` holds places in the kernel that the weights are taken from; None stands for a weight of zero.
    """

    kernel: tuple[int | None, ...]
    begin: int
    end: int


def taps(places: Iterable[int], size: int, *, begin: int, end: int) -> Taps:
    """The convolution whose weights lie at `places` of a kernel of `size`; beyond it they are zero."""
    return Taps(tuple(place if 0 <= place < size else None for place in places), begin, end)


def picked(weight: NDArray[np.float32], rows: Taps, columns: Taps) -> NDArray[np.float32]:
    """Of weights [channels, channels, height, width] those at `rows` and `columns`."""
    # The zeros at the end of both axes are what None picks.
    padded = np.pad(weight, [(0, 0), (0, 0), (0, 1), (0, 1)])
    return padded[:, :, _places(rows)][:, :, :, _places(columns)]


def _places(taps: Taps) -> list[int]:
    return [-1 if place is None else place for place in taps.kernel]


def pads(rows: Taps, columns: Taps) -> list[int]:
    """The padding of both axes as ONNX states it."""
    return [rows.begin, columns.begin, rows.end, columns.end]
