"""Deletion and insertion curves (Petsiuk, Das and Saenko, RISE, 2018).

A map that says where the network looked puts those pixels first without which the answer goes. Deletion
takes them out of the image, the hottest first, and the probability should fall at once: the area under
the curve is small. Insertion puts them into a blurred image, and the area should be large.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.heatmaps.overlay import map_to_size
from spyglass_export.checking.blank import blurred, mean_color

Answer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""uint8 [images, height, width, channels] to the probability of one class, float32 [images]."""


@dataclass(frozen=True)
class Curves:
    """The probability after each step, float64 [steps + 1], from the first image to the last."""

    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]

    @property
    def deletion_auc(self) -> float:
        """In [0, 1]; less is better."""
        return area(self.deletion)

    @property
    def insertion_auc(self) -> float:
        """In [0, 1]; more is better."""
        return area(self.insertion)


def curves(
    pixels: NDArray[np.uint8],
    heatmap: NDArray[np.float32],
    answer: Answer,
    steps: int,
    random: np.random.Generator,
) -> Curves:
    """Both curves of one image, uint8 [height, width, channels], by a map of any size.

    The map is interpolated bilinearly. Each step changes as many pixels as the others, give or take one.
    What is deleted gets the image's mean colour; insertion starts from the image blurred. `random`
    decides between pixels of the same heat, so that a map of zeros is a map of chance.
    """
    height, width, _ = pixels.shape
    order = hottest_first(map_to_size(heatmap, width, height), random)
    deleted = transition(pixels, mean_color(pixels), order, steps)
    inserted = transition(blurred(pixels), pixels, order, steps)
    return Curves(answer(deleted).astype(np.float64), answer(inserted).astype(np.float64))


def mean_curves(several: Sequence[Curves]) -> Curves:
    """The means of curves of as many steps; their areas are the mean areas."""
    deletion = np.mean([each.deletion for each in several], axis=0)
    return Curves(deletion, np.mean([each.insertion for each in several], axis=0))


def hottest_first(heat: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.int64]:
    """The indices of the pixels of float32 [height, width], counted row by row; equal ones by chance."""
    return np.lexsort((random.random(heat.size), -heat.ravel()))


def transition(
    start: NDArray[np.uint8], end: NDArray[np.uint8], order: NDArray[np.int64], steps: int
) -> NDArray[np.uint8]:
    """uint8 [steps + 1, height, width, channels]: from `start` to `end`, pixel by pixel in `order`."""
    channels = start.shape[-1]
    images = np.repeat(start.reshape(1, -1, channels), steps + 1, axis=0)
    for step in range(steps + 1):
        changed = order[: round(step * len(order) / steps)]
        images[step, changed] = end.reshape(-1, channels)[changed]
    return images.reshape(steps + 1, *start.shape)


def area(curve: NDArray[np.float64]) -> float:
    """Below a curve over [0, 1], by the trapezoidal rule."""
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))
