"""An image to its heatmaps, by the graph alone or by Score-CAM, as the model's card says."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.heatmaps.score_cam import varying_channels, weighted_map
from spyglass_contract.images.pixels import Prepared
from spyglass_contract.model.card import SCORE_CAM
from spyglass_server.engine.call import Call
from spyglass_server.engine.decoders import Decoded, Decoders, ImageData
from spyglass_server.engine.model import Model, Network
from spyglass_server.engine.scheduler import Answer
from spyglass_server.heatmaps.explain import PREDICTED, Explain, Explained
from spyglass_server.heatmaps.masked_passes import MaskedPasses


@dataclass(frozen=True)
class Featured:
    """What a network says of one image, and its feature map."""

    # float32 [classes].
    probabilities: NDArray[np.float32]
    # float32 [channels, height, width].
    features: NDArray[np.float32]


@dataclass(frozen=True)
class Features:
    """A run for `Scheduler.submit` that gives the feature map."""

    network: Network

    def __call__(self, pixels: NDArray[np.uint8]) -> list[Featured]:
        probabilities, _, features = self.network.features(pixels)
        return [Featured(*row) for row in zip(probabilities, features, strict=True)]


def infer_explained(
    decoders: Decoders,
    image: ImageData,
    model: Model,
    call: Call,
    classes: tuple[int, ...],
    accept: Callable[[Prepared], object],
) -> tuple[Answer[Explained], Decoded]:
    """As `Decoders.infer`, with a map for each of the `classes`: indices, PREDICTED for the image's own.

    By Score-CAM the time of inference is that of all passes, from the first to the last.
    """
    if model.card.heatmap_method != SCORE_CAM:
        return decoders.infer(image, model, call, Explain(model.network, classes), accept)
    first, decoded = decoders.infer(image, model, call, Features(model.network), accept)
    started = time.monotonic()
    passes = MaskedPasses(decoders, model, call, decoded.prepared.pixels)
    explained = _score_cam(passes, first.output, classes)
    inference_ms = first.inference_ms + (time.monotonic() - started) * 1000
    return Answer(explained, first.queue_ms, inference_ms, first.batch_size), decoded


def _score_cam(passes: MaskedPasses, seen: Featured, classes: tuple[int, ...]) -> Explained:
    chosen = varying_channels(seen.features, passes.model.resources.score_cam_channels)
    planes = seen.features[chosen]
    scores = np.array(passes.scores(planes), np.float32).reshape(len(planes), len(seen.probabilities))
    predicted = int(seen.probabilities.argmax())
    indices = [predicted if index == PREDICTED else index for index in classes]
    maps = np.stack([weighted_map(planes, scores[:, index]) for index in indices])
    return Explained(seen.probabilities, maps)
