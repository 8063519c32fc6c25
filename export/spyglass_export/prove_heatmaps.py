"""What the heatmaps in a model file must show before it may be served."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CertificateError
from spyglass_contract.heatmaps.score_cam import varying_channels
from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.card import CLASS_INDEX, FEATURE_MAP, HEATMAP, PROBABILITIES, SCORE_CAM, SCORES
from spyglass_contract.model.certificate import golden_tensor
from spyglass_export.runtime_errors import first_sentence

# Between one map asked alone and among others. It is divided by its own maximum, which enlarges what another
# order of additions does to it; a map of the wrong class or image differs by tenths.
TOLERANCE = 1e-3
# Classes of one image that are asked at once.
CLASSES = 3
PREDICTED = -1

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Examined:
    """How many maps were looked at, and how many of them are 0 everywhere."""

    maps: int = 0
    zero: int = 0


def prove_heatmaps(session: onnxruntime.InferenceSession, card: ModelCard) -> Examined:
    """Asks for heatmaps of the golden images, or of the golden tensors where there are no images.

    Of each image the most probable classes are asked at once and one by one, and the predicted class of all
    images in one batch. By Score-CAM the graph has a feature map and scores, which are asked instead.

    Raises CertificateError unless all are finite, the maps in [0, 1], one for each image or class, and the
    same however they are asked. A file whose card names no layer explained is not asked.
    """
    if not card.explained_layer:
        return Examined()
    golden = _Golden(session, card)
    maps = list(_feature_maps(golden) if card.heatmap_method == SCORE_CAM else _heatmaps(golden))
    return Examined(len(maps), maps.count(True))


class _Golden:
    """The images that are asked about, and the file that answers."""

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

    def ask(self, outputs: Sequence[str], pixels: NDArray[np.uint8], classes: Sequence[int]) -> list[Floats]:
        """The named outputs, all finite."""
        feed = {self._card.input.tensor: pixels, CLASS_INDEX: np.asarray(classes, np.int64)}
        # ONNX Runtime's exceptions have no base of their own.
        try:
            answers: list[Floats] = self._session.run(list(outputs), feed)
        except Exception as error:
            raise CertificateError(f"the heatmap is not computed: {first_sentence(error)}") from error
        for name, answer in zip(outputs, answers, strict=True):
            _check(bool(np.isfinite(answer).all()), f"the output {name} is not finite")
        return answers

    def maps(self, pixels: NDArray[np.uint8], classes: Sequence[int], wanted: int) -> Floats:
        """The heatmaps, float32 [wanted, height, width] in [0, 1]."""
        (maps,) = self.ask([HEATMAP], pixels, classes)
        _check(
            maps.ndim == 3 and len(maps) == wanted,
            f"of {len(pixels)} images and {len(classes)} classes it has the shape {list(maps.shape)}, "
            f"not {wanted} maps",
        )
        _check(bool(((maps >= 0) & (maps <= 1)).all()), "it has values outside of [0, 1]")
        return maps


def _heatmaps(golden: _Golden) -> Iterator[bool]:
    """Whether each map is 0 everywhere."""
    together = golden.maps(golden.pixels, [PREDICTED], len(golden.pixels))
    golden.maps(golden.pixels, [], 0)
    (probabilities,) = golden.ask([PROBABILITIES], golden.pixels, [])
    for name, image, predicted, row in zip(golden.names, golden.pixels, together, probabilities, strict=True):
        pixels = image[np.newaxis]
        best = [int(index) for index in np.argsort(-row, kind="stable")[:CLASSES]]
        at_once = golden.maps(pixels, [PREDICTED, *best], 1 + len(best))
        _check_same(at_once[0], predicted, f"of {name} in a batch")
        if row[best[0]] > row[best[1]]:
            _check_same(at_once[1], predicted, f"of {name} for the most probable class and the predicted one")
        for index, found in zip(best, at_once[1:], strict=True):
            (alone,) = golden.maps(pixels, [index], 1)
            _check_same(found, alone, f"of {name} for class {index} among others")
            yield not found.any()


def _feature_maps(golden: _Golden) -> Iterator[bool]:
    """Whether each feature map shows no place at all."""
    outputs, count = [FEATURE_MAP, SCORES, PROBABILITIES], len(golden.pixels)
    features, scores, probabilities = golden.ask(outputs, golden.pixels, [PREDICTED])
    shapes = f"the feature map is {list(features.shape)} and the scores are {list(scores.shape)}"
    fits = features.ndim == 4 and len(features) == count and scores.shape == (count, golden.classes)
    _check(fits, f"{shapes}, of {count} images and {golden.classes} classes")
    for index, name in enumerate(golden.names):
        pixels = golden.pixels[index : index + 1]
        alone, own, _ = golden.ask(outputs, pixels, [PREDICTED])
        for together, by_itself in ((features[index], alone[0]), (scores[index], own[0])):
            # To the largest magnitude, as a heatmap is.
            largest = max(float(np.abs(by_itself).max()), 1e-12)
            _check_same(together / largest, by_itself / largest, f"of {name} in a batch")
        best, second = np.sort(probabilities[index])[:-3:-1]
        agree = best == second or scores[index].argmax() == probabilities[index].argmax()
        _check(bool(agree), f"the best score of {name} is of another class than the best probability")
        yield not len(varying_channels(alone[0], 0))


def _check_same(one: Floats, other: Floats, what: str) -> None:
    difference = float(np.abs(one - other).max()) if one.shape == other.shape else np.inf
    _check(difference <= TOLERANCE, f"that {what} is another than alone, by {difference:.2g}")


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise CertificateError(f"the heatmap cannot be trusted: {otherwise}")
