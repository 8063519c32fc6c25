"""An image to its heatmaps: by the graph alone, or by Score-CAM, as the model's card says."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import FailedPrecondition
from spyglass_contract.heatmaps.score_cam import varying_channels, weighted_map
from spyglass_contract.images.message import ImageData
from spyglass_contract.images.pixels import Prepared
from spyglass_contract.model.card import PREDICTED, SCORE_CAM
from spyglass_server.engine.engine import Engine
from spyglass_server.engine.models.model import Model, Network
from spyglass_server.engine.work import Further, Inferred, Work
from spyglass_server.heatmaps.masked_passes import MaskedPasses


@dataclass(frozen=True)
class Explained:
    """The probabilities of one image, and a map for each class to explain."""

    # float32 [classes].
    probabilities: NDArray[np.float32]
    # float32 [targets, height, width] in [0, 1], of the feature map's size.
    maps: NDArray[np.float32]


@dataclass(frozen=True)
class Explain:
    """A run that explains: images with the same classes to explain go into one batch."""

    network: Network
    # Indices, at least one; PREDICTED stands for each image's own predicted class.
    classes: tuple[int, ...]

    def __call__(self, pixels: NDArray[np.uint8]) -> list[Explained]:
        if len(self.classes) == 1:
            probabilities, maps = self.network.explain(pixels, self.classes)
            rows = zip(probabilities, maps, strict=True)
            return [Explained(row, heatmap[np.newaxis]) for row, heatmap in rows]
        return [self._explain_one(image) for image in pixels]

    def _explain_one(self, image: NDArray[np.uint8]) -> Explained:
        # The graph explains several classes of one image, or one class of several images.
        probabilities, maps = self.network.explain(image[np.newaxis], self.classes)
        return Explained(probabilities[0], maps)


@dataclass(frozen=True)
class Featured:
    """The probabilities of one image, and its feature map."""

    # float32 [classes].
    probabilities: NDArray[np.float32]
    # float32 [channels, height, width].
    features: NDArray[np.float32]


@dataclass(frozen=True)
class Features:
    """A run that returns the feature map."""

    network: Network

    def __call__(self, pixels: NDArray[np.uint8]) -> list[Featured]:
        probabilities, _, features = self.network.features(pixels)
        return [Featured(*row) for row in zip(probabilities, features, strict=True)]


def check_explains(model: Model) -> None:
    """Raise FailedPrecondition if the model has no heatmap."""
    if not model.card.explained_layer:
        raise FailedPrecondition(
            f"{model.card.name} has no heatmap; `spyglass export` and `spyglass adopt` add one",
            reason="HEATMAP_MISSING",
            field="model.name",
        )


def explaining_work(
    engine: Engine,
    image: ImageData | Prepared,
    model: Model,
    classes: tuple[int, ...],
    respond: Callable[[Inferred[Explained]], object],
    check: Callable[[Prepared], object] | None,
) -> Work:
    """Return the work for probabilities and a map of each of `classes` (indices, or PREDICTED).

    With Score-CAM the inference time is that of all passes, from the first to the last.
    """
    kind = ("explain", len(classes).bit_length())
    if model.card.heatmap_method != SCORE_CAM:
        return engine.work(image, model, Explain(model.network, classes), respond, check, kind)

    def begin_passes(first: Inferred[Featured]) -> Further:
        started = time.monotonic()
        features = first.output.features
        planes = features[varying_channels(features, model.resources.score_cam_channels)]

        def explain(scores: list[NDArray[np.float32]]) -> object:
            inference_ms = first.inference_ms + (time.monotonic() - started) * 1000
            explained = _score_cam(first.output.probabilities, planes, scores, classes)
            return respond(first.with_output(explained, inference_ms))

        return Further(MaskedPasses(engine.workers, model, first.prepared, planes, explain).begin)

    return engine.work(image, model, Features(model.network), begin_passes, check, kind)


def _score_cam(
    probabilities: NDArray[np.float32],
    planes: NDArray[np.float32],
    passes: list[NDArray[np.float32]],
    classes: tuple[int, ...],
) -> Explained:
    scores = np.array(passes, np.float32).reshape(len(planes), len(probabilities))
    predicted = int(probabilities.argmax())
    indices = [predicted if index == PREDICTED else index for index in classes]
    maps = np.stack([weighted_map(planes, scores[:, index]) for index in indices])
    return Explained(probabilities, maps)
