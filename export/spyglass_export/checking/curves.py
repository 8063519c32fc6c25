"""Deletion and insertion curves (Petsiuk, Das and Saenko, RISE, 2018).

A good heatmap ranks first the pixels that the prediction depends on. Deletion removes the pixels from the
image, the hottest first: the probability should fall early, and the area under the curve should be small.
Insertion puts the pixels into a blurred image, and the area should be large.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never, get_args

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.heatmaps.overlay import map_to_size
from spyglass_export.checking.blank import blurred, mean_color

ClassProbability = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""uint8 [images, height, width, channels] to the probability of one class, float32 [images]."""
Curve = Literal["deletion", "insertion"]
CURVES: tuple[Curve, ...] = get_args(Curve)


@dataclass(frozen=True)
class Curves:
    """The probability after each step, float64 [steps + 1], from the first image to the last."""

    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]

    @property
    def deletion_auc(self) -> float:
        """Area in [0, 1]; less is better."""
        return area(self.deletion)

    @property
    def insertion_auc(self) -> float:
        """Area in [0, 1]; more is better."""
        return area(self.insertion)

    def auc(self, curve: Curve) -> float:
        """Return the area under the deletion or the insertion curve."""
        match curve:
            case "deletion":
                return self.deletion_auc
            case "insertion":
                return self.insertion_auc
            case _:
                assert_never(curve)


def curves(
    pixels: NDArray[np.uint8],
    heatmap: NDArray[np.float32],
    probability: ClassProbability,
    steps: int,
    random: np.random.Generator,
) -> Curves:
    """Return both curves of one image, uint8 [height, width, channels], for a map of any size.

    The map is interpolated bilinearly. The steps change equal numbers of pixels, up to a difference of one.
    Deleted pixels get the image's mean colour; insertion starts from the blurred image. `random` orders
    pixels of equal heat, so a map of zeros gives a random order.
    """
    height, width, _ = pixels.shape
    order = hottest_first(map_to_size(heatmap, width, height), random)
    deleted = transition(pixels, mean_color(pixels), order, steps)
    inserted = transition(blurred(pixels), pixels, order, steps)
    return Curves(probability(deleted).astype(np.float64), probability(inserted).astype(np.float64))


def mean_curves(several: Sequence[Curves]) -> Curves:
    """Return the mean of curves of equal length; its areas are the mean areas."""
    deletion = np.mean([each.deletion for each in several], axis=0)
    return Curves(deletion, np.mean([each.insertion for each in several], axis=0))


def hottest_first(heat: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.int64]:
    """Return the pixels of float32 [height, width] by falling heat, as indices counted row by row.

    Pixels of equal heat come in random order.
    """
    return np.lexsort((random.random(heat.size), -heat.ravel()))


def transition(
    start: NDArray[np.uint8], end: NDArray[np.uint8], order: NDArray[np.int64], steps: int
) -> NDArray[np.uint8]:
    """Return images uint8 [steps + 1, height, width, channels] from `start` to `end`, changed in `order`."""
    channels = start.shape[-1]
    images = np.repeat(start.reshape(1, -1, channels), steps + 1, axis=0)
    for step in range(steps + 1):
        changed = order[: round(step * len(order) / steps)]
        images[step, changed] = end.reshape(-1, channels)[changed]
    return images.reshape(steps + 1, *start.shape)


def area(curve: NDArray[np.float64]) -> float:
    """Return the area under a curve over [0, 1], by the trapezoidal rule."""
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))
