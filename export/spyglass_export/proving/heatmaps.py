"""Consistency checks of the heatmaps in a model file, before it may be served."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CertificateError, ModelError
from spyglass_contract.heatmaps.score_cam import varying_channels
from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.card import (
    CLASS_INDEX,
    FEATURE_MAP,
    HEATMAP,
    HEATMAP_METHODS,
    PREDICTED,
    PROBABILITIES,
    SCORE_CAM,
    SCORES,
)
from spyglass_contract.model.certificate import EXPORT_TOLERANCE, export_tolerance, golden_tensor
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.runtime_errors import first_sentence
from spyglass_export.session import takes_one_image

# Allowed difference between a map computed alone and the same map in a batch, for the usual tolerance of
# probabilities. A map is divided by its own maximum, which enlarges the effect of another order of additions.
# A network with more rounding noise is allowed more, but a map of the wrong class or image differs by tenths.
TOLERANCE = 1e-3
MOST_TOLERANCE = 0.05
# Classes of one image that are explained in one call.
CLASSES = 3

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Examined:
    """The number of maps that were checked, and the number of those that are 0 everywhere."""

    maps: int = 0
    zero: int = 0


def prove_heatmaps(session: onnxruntime.InferenceSession, card: ModelCard) -> Examined:
    """Check the heatmaps of the golden images, or of the golden tensors if there are no images.

    For each image, the most probable classes are explained in one call and one by one; the predicted classes
    of all images are explained in one batch. A Score-CAM file has a feature map and class scores instead of
    a heatmap, so those are checked. A file whose card names no explained layer is not checked.

    Raises CertificateError unless every output is finite, every map is in [0, 1], there is one map for each
    image or class, and a map is the same alone and in a batch. Raises ModelError for an unknown method.
    """
    if not card.explained_layer:
        return Examined()
    if card.heatmap_method and card.heatmap_method not in HEATMAP_METHODS:
        methods = ", ".join(HEATMAP_METHODS)
        raise ModelError(f"the card's heatmap method must be one of {methods}, not '{card.heatmap_method}'")
    golden = _Golden(session, card)
    maps = list(_feature_maps(golden) if card.heatmap_method == SCORE_CAM else _heatmaps(golden))
    return Examined(len(maps), maps.count(True))


class _Golden:
    """The golden images or tensors, and the session that explains them."""

    def __init__(self, session: onnxruntime.InferenceSession, card: ModelCard) -> None:
        certificate, self._session, self._card = card.certificate, session, card
        self.names = [golden.name for golden in certificate.images]
        pixels = [prepare(golden.encoded, card.input).pixels[np.newaxis] for golden in certificate.images]
        if not pixels:
            self.names = [f"tensor {golden.seed}" for golden in certificate.tensors]
            pixels = [golden_tensor(golden.seed, card.input) for golden in certificate.tensors]
        # uint8 [images, height, width, channels].
        self.pixels = np.concatenate(pixels)
        self.classes = len(card.class_names)
        self._one_image = takes_one_image(session, card)

    def run(self, outputs: Sequence[str], pixels: NDArray[np.uint8], classes: Sequence[int]) -> list[Floats]:
        """Return the named outputs, all finite; one by one if the graph takes one image at a time."""
        if self._one_image and len(pixels) > 1:
            each = [self.run(outputs, pixels[index : index + 1], classes) for index in range(len(pixels))]
            return [np.concatenate(found) for found in zip(*each, strict=True)]
        feed = {self._card.input.tensor: pixels, CLASS_INDEX: np.asarray(classes, np.int64)}
        # ONNX Runtime's exceptions have no common base class.
        try:
            found: list[Floats] = self._session.run(list(outputs), feed)
        except Exception as error:
            raise CertificateError(f"cannot compute the heatmap: {first_sentence(error)}") from error
        for name, values in zip(outputs, found, strict=True):
            _check(bool(np.isfinite(values).all()), f"the output {name} is not finite")
        return found

    def maps(self, pixels: NDArray[np.uint8], classes: Sequence[int], count: int) -> Floats:
        """Return the heatmaps, float32 [count, height, width] in [0, 1]."""
        (maps,) = self.run([HEATMAP], pixels, classes)
        _check(
            maps.ndim == 3 and len(maps) == count,
            f"for {len(pixels)} images and {len(classes)} classes its shape is {list(maps.shape)}, "
            f"not {count} maps",
        )
        _check(bool(((maps >= 0) & (maps <= 1)).all()), "it has values outside of [0, 1]")
        return maps

    def check_same(self, one: Floats, other: Floats, message: str) -> None:
        """Raise CertificateError if two maps differ by more than the network's rounding noise allows."""
        difference = float(np.abs(one - other).max()) if one.shape == other.shape else np.inf
        allowed = min(TOLERANCE * export_tolerance(self._card) / EXPORT_TOLERANCE, MOST_TOLERANCE)
        _check(difference <= allowed, f"{message} by {difference:.2g}, more than {allowed:.0e}")


def _heatmaps(golden: _Golden) -> Iterator[bool]:
    """Yield for each checked map whether it is 0 everywhere."""
    together = golden.maps(golden.pixels, [PREDICTED], len(golden.pixels))
    golden.maps(golden.pixels, [], 0)
    (probabilities,) = golden.run([PROBABILITIES], golden.pixels, [])
    for name, image, predicted, row in zip(golden.names, golden.pixels, together, probabilities, strict=True):
        pixels = image[np.newaxis]
        best = [int(index) for index in np.argsort(-row, kind="stable")[:CLASSES]]
        at_once = golden.maps(pixels, [PREDICTED, *best], 1 + len(best))
        golden.check_same(at_once[0], predicted, f"the map of {name} in a batch differs from its map alone")
        if row[best[0]] > row[best[1]]:
            golden.check_same(
                at_once[1],
                predicted,
                f"the map of {name} for the most probable class differs from that for the predicted class",
            )
        for index, found in zip(best, at_once[1:], strict=True):
            (alone,) = golden.maps(pixels, [index], 1)
            golden.check_same(
                found,
                alone,
                f"the map of {name} for class {index} together with other classes differs from its map alone",
            )
            yield not found.any()


def _feature_maps(golden: _Golden) -> Iterator[bool]:
    """Yield for each image whether every channel of its feature map is flat."""
    outputs, count = [FEATURE_MAP, SCORES, PROBABILITIES], len(golden.pixels)
    features, scores, probabilities = golden.run(outputs, golden.pixels, [PREDICTED])
    shapes = f"the feature map is {list(features.shape)} and the scores are {list(scores.shape)}"
    fits = features.ndim == 4 and len(features) == count and scores.shape == (count, golden.classes)
    _check(fits, f"{shapes}, for {count} images and {golden.classes} classes")
    for index, name in enumerate(golden.names):
        pixels = golden.pixels[index : index + 1]
        own_features, own_scores, _ = golden.run(outputs, pixels, [PREDICTED])
        pairs = {
            "feature map": (features[index], own_features[0]),
            "scores": (scores[index], own_scores[0]),
        }
        for output, (together, alone) in pairs.items():
            # Divided by the largest magnitude, as a heatmap is.
            largest = max(float(np.abs(alone).max()), 1e-12)
            differs = f"the {output} of {name} in a batch differs from that of the image alone"
            golden.check_same(together / largest, alone / largest, differs)
        best, second = np.sort(probabilities[index])[:-3:-1]
        agree = best == second or scores[index].argmax() == probabilities[index].argmax()
        _check(bool(agree), f"the best score of {name} is of another class than the best probability")
        yield not len(varying_channels(own_features[0], 0))


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise CertificateError(
            f"the heatmap cannot be trusted: {message}; choose another feature map or method, or "
            "make the model without heatmaps"
        )
