"""A model file with heatmaps, in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import ModelError
from spyglass_contract.heatmaps.score_cam import masked, varying_channels, weighted_map
from spyglass_contract.model.card import (
    CLASS_INDEX,
    FEATURE_MAP,
    HEATMAP,
    PROBABILITIES,
    SCORE_CAM,
    SCORES,
    read_card,
)
from spyglass_export.session import open_session, takes_one_image

# Images in one run: this bounds the memory for any number of steps of a curve.
_BATCH = 16


class ExplainedNetwork:
    """Runs a model on images in the form of its input, uint8 [height, width, channels]."""

    def __init__(self, source: Path | bytes) -> None:
        """Open a file, or its bytes.

        Raises CardError for an invalid card, and ModelError if ONNX Runtime cannot load the file or if it has
        no heatmap.
        """
        self._session = open_session(source)
        self.card = read_card(self._session)
        if not self.card.explained_layer:
            raise ModelError(f"{self.card.name} has no heatmap to check", reason="HEATMAP_MISSING")

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities of uint8 [images, height, width, channels], float32 [images, classes]."""
        return self._run(PROBABILITIES, pixels, np.empty(0, np.int64))

    def heatmap(self, pixels: NDArray[np.uint8], class_index: int) -> NDArray[np.float32]:
        """Return the heatmap of one image for a class, float32 of the feature map's size, in [0, 1]."""
        classes = np.array([class_index])
        if self.card.heatmap_method == SCORE_CAM:
            return self._score_cam(pixels, classes)
        return self._run(HEATMAP, pixels[np.newaxis], classes)[0]

    def _score_cam(self, pixels: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float32]:
        features = self._run(FEATURE_MAP, pixels[np.newaxis], classes)[0]
        planes = features[varying_channels(features, 0)]
        scores = [
            self._run(SCORES, masked(pixels, plane)[np.newaxis], classes)[0, classes[0]] for plane in planes
        ]
        return weighted_map(planes, np.array(scores, np.float32))

    def _run(self, output: str, pixels: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float32]:
        parts, batch = [], 1 if takes_one_image(self._session, self.card) else _BATCH
        for start in range(0, len(pixels), batch):
            feed = {self.card.input.tensor: pixels[start : start + batch], CLASS_INDEX: classes}
            parts += self._session.run([output], feed)
        return np.concatenate(parts)
