"""A network run with its heatmaps, as the scheduler takes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spyglass_server.engine.model import Network

PREDICTED = -1
"""The index that stands for the predicted class."""


@dataclass(frozen=True)
class Explained:
    """What a network says of one image, and why."""

    # float32 [classes].
    probabilities: NDArray[np.float32]
    # float32 [targets, height, width] in [0, 1], of the feature map's size.
    maps: NDArray[np.float32]


@dataclass(frozen=True)
class Explain:
    """A run for `Scheduler.submit`: images that are asked about the same classes are run together."""

    network: Network
    # Indices, at least one; PREDICTED stands for each image's own.
    classes: tuple[int, ...]

    def __call__(self, pixels: NDArray[np.uint8]) -> list[Explained]:
        if len(self.classes) == 1:
            probabilities, maps = self.network.explain(pixels, self.classes)
            rows = zip(probabilities, maps, strict=True)
            return [Explained(row, heatmap[np.newaxis]) for row, heatmap in rows]
        return [self._explain_one(image) for image in pixels]

    def _explain_one(self, image: NDArray[np.uint8]) -> Explained:
        # The graph explains several classes of one image, or one class of several.
        probabilities, maps = self.network.explain(image[np.newaxis], self.classes)
        return Explained(probabilities[0], maps)
