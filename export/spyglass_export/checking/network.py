"""A model file that explains its answers, run here by ONNX Runtime."""

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
from spyglass_export.prove import open_session

# Images that run together: the network's memory is bounded, however many steps a curve has.
_BATCH = 16


class ExplainedNetwork:
    """Answers images as the network takes them, uint8 [height, width, channels]."""

    def __init__(self, source: Path | bytes) -> None:
        """Opens a file, or its bytes. Raises CardError, and ModelError where it does not run or explain."""
        self._session = open_session(source)
        self.card = read_card(self._session)
        if not self.card.explained_layer:
            raise ModelError(f"{self.card.name} has no heatmap to check", reason="HEATMAP_MISSING")

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 [images, height, width, channels] to float32 [images, classes]."""
        return self._run(PROBABILITIES, pixels, np.empty(0, np.int64))

    def heatmap(self, pixels: NDArray[np.uint8], class_index: int) -> NDArray[np.float32]:
        """Where one image shows a class: float32 of the feature map's size, in [0, 1]."""
        asked = np.array([class_index])
        if self.card.heatmap_method == SCORE_CAM:
            return self._score_cam(pixels, asked)
        return self._run(HEATMAP, pixels[np.newaxis], asked)[0]

    def _score_cam(self, pixels: NDArray[np.uint8], asked: NDArray[np.int64]) -> NDArray[np.float32]:
        features = self._run(FEATURE_MAP, pixels[np.newaxis], asked)[0]
        planes = features[varying_channels(features, 0)]
        scores = [
            self._run(SCORES, masked(pixels, plane)[np.newaxis], asked)[0, asked[0]] for plane in planes
        ]
        return weighted_map(planes, np.array(scores, np.float32))

    def _run(self, output: str, pixels: NDArray[np.uint8], asked: NDArray[np.int64]) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(pixels), _BATCH):
            feed = {self.card.input.tensor: pixels[start : start + _BATCH], CLASS_INDEX: asked}
            parts += self._session.run([output], feed)
        return np.concatenate(parts)
