"""The gradient in a model file, compared with finite differences of the score that it differentiates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CertificateError
from spyglass_contract.model.card import CLASS_INDEX
from spyglass_contract.model.certificate import golden_tensor
from spyglass_export.gradcam.record import GradientRecord
from spyglass_export.proving.golden import golden_pixels
from spyglass_export.proving.head_graph import gradient_record, part_of
from spyglass_export.proving.precision import open_precise
from spyglass_export.session import open_session

# The largest relative difference. In double precision a right gradient agrees to 1e-6; if an operator runs in
# float32 only, rounding and the bends of rectifiers leave up to 1e-3. A wrong one differs by tenths.
TOLERANCE = 1e-2
_GOOD = 1e-4
# Steps along a direction, as parts of the root mean square of the feature map.
_STEPS = (1e-3, 1e-2, 1e-4, 3e-2, 1e-5, 1e-6)
_IMAGES, _RANDOM = 2, 2
# Slopes are compared with at least this part of the terms that a sum over places adds up, and of the scores:
# below that, both are rounding.
_CANCELLED, _SMALLEST, _TINY = 1e-3, 1e-6, 1e-30

Numbers = NDArray[np.floating[Any]]
Feeds = dict[str, NDArray[Any]]


def prove_gradient(model: onnx.ModelProto, card: ModelCard) -> float | None:
    """Return `gradient_error` on two golden images, or on two golden tensors if there are no images.

    Raises CertificateError if it is above `TOLERANCE`.
    """
    if not card.explained_layer:
        return None
    error = gradient_error(model, card.input.tensor, list(_inputs(card)))
    if error is not None and error > TOLERANCE:
        raise CertificateError(
            f"the heatmap cannot be trusted: the gradient with respect to {card.explained_layer} differs "
            f"from finite differences of the score by {error:.2g} of its size, more than {TOLERANCE}; choose "
            "another feature map or method, or make the model without heatmaps"
        )
    return error


def gradient_error(model: onnx.ModelProto, fed: str, images: Sequence[NDArray[Any]]) -> float | None:
    """Return the largest relative difference between the gradient of the heatmap and finite differences.

    `images` are values of the model's input `fed`, each of one image. The explained tensor is moved a little
    in both directions along the gradient and along random vectors, for the predicted class and a random other
    one. The gradient is that of the file, in double precision where ONNX Runtime has it; quantised tensors
    keep their numbers. The tensor is first moved to a random place nearby, because at equal maxima and at 0
    behind a rectifier the score has no derivative.

    Return None if the heatmap needs no gradient, or if the nodes behind the tensor do not run by themselves.
    """
    record = gradient_record(model)
    if record is None:
        return None
    feeds, largest = [{fed: image} for image in images], 0.0
    for tensor in record.explained:
        try:
            largest = max(largest, *_Head(model, record, tensor, feeds).errors())
        # ONNX Runtime's exceptions have no common base class.
        except Exception:
            return None
    return largest


def _inputs(card: ModelCard) -> Iterator[NDArray[np.uint8]]:
    certificate = card.certificate
    for image in certificate.images[:_IMAGES]:
        yield golden_pixels(card.input, image.name, image.encoded)
    for tensor in () if certificate.images else certificate.tensors[:_IMAGES]:
        yield golden_tensor(tensor.seed, card.input)


class _NotAlone(Exception):
    """The head of an explained tensor cannot be run by itself."""


@dataclass(frozen=True)
class _Direction:
    """A direction of the explained tensor, the slope that the gradient states for it, and its usual size."""

    moved: Numbers
    slope: float
    scale: float


class _Head:
    """The graph behind one explained tensor, which is its input."""

    def __init__(
        self, model: onnx.ModelProto, record: GradientRecord, tensor: str, feeds: Sequence[Feeds]
    ) -> None:
        self._record, self._tensor, self._feeds = record, tensor, feeds
        before = open_session(part_of(model, [tensor]).SerializeToString())
        self._starts: list[Numbers] = [before.run([tensor], given)[0] for given in feeds]
        names = dict.fromkeys([record.scores, record.activations, record.gradient, record.magnitudes])
        outputs = [name for name in names if name and name != tensor]
        self._session, self._kind = open_precise(part_of(model, outputs, tensor, self._starts[0].ndim))

    def errors(self) -> Iterator[float]:
        """Yield the relative difference along each direction, for each image and class."""
        random = np.random.default_rng(0)
        for start, given in zip(self._starts, self._feeds, strict=True):
            features = _nearby(start.astype(np.float64), random)
            places = self._places(features.shape, given)
            scores = self._scores(features, given)
            predicted = int(np.argmax(scores))
            others = [index for index in range(len(scores)) if index != predicted]
            floor = _SMALLEST * float(np.abs(scores).max())
            for index in (predicted, int(random.choice(others))):
                for direction in self._directions(features, given, index, places, random):
                    yield self._difference(features, given, index, direction, floor)

    def _places(self, shape: tuple[int, ...], given: Feeds) -> NDArray[np.int64]:
        """The index in the explained tensor of each number of A; -1 for numbers of other tensors.

        The branch only rearranges tensors, so this feeds it the indices themselves.
        """
        labels = np.arange(1.0, np.prod(shape) + 1).reshape(shape)
        (found,) = self._run([self._record.activations], labels, given)
        (moved,) = self._run([self._record.activations], labels + labels.size, given)
        inside = (moved - found == labels.size) & (found >= 1) & (found <= labels.size) & (found % 1 == 0)
        if len(np.unique(found[inside])) < inside.sum() or not inside.any():
            raise _NotAlone
        return np.where(inside, found, 0).astype(np.int64) - 1

    def _directions(
        self,
        features: Numbers,
        given: Feeds,
        index: int,
        places: NDArray[np.int64],
        random: np.random.Generator,
    ) -> Iterator[_Direction]:
        """Yield the direction of the gradient, and random ones."""
        record = self._record
        names = [record.gradient, record.magnitudes or record.gradient]
        gradient, terms = (self._over(each, places) for each in self._run(names, features, given, index))
        size = float(np.sqrt(np.mean(features**2))) or 1.0
        for along in (gradient, *(random.choice([-1.0, 1.0], gradient.shape) for _ in range(_RANDOM))):
            along = along * (size / (float(np.sqrt(np.mean(along**2))) or 1.0))
            moved = np.zeros(features.size)
            inside = places >= 0
            moved[places[inside]] = np.broadcast_to(along, places.shape)[inside]
            # A wrong gradient changes a sum of products by about the root of the sum of their squares.
            typical = float(np.sqrt(np.sum((gradient * along) ** 2)))
            noise = _CANCELLED * float(np.sqrt(np.sum((terms * along) ** 2)))
            slope = float(np.sum(gradient * along))
            yield _Direction(moved.reshape(features.shape), slope, max(typical, noise, abs(slope)))

    def _over(self, gradient: Numbers, places: NDArray[np.int64]) -> Numbers:
        """A gradient of the shape of A, and 0 outside of the explained tensor; a sum keeps axes of size 1."""
        if self._record.summed:
            return np.expand_dims(gradient, self._record.summed)
        return np.where(places >= 0, gradient, 0)

    def _difference(
        self, features: Numbers, given: Feeds, index: int, direction: _Direction, floor: float
    ) -> float:
        """The smallest relative difference for any step."""
        smallest = np.inf
        for step in _STEPS:
            ahead, behind = (
                self._scores(features + sign * step * direction.moved, given)[index] for sign in (1, -1)
            )
            difference = abs((ahead - behind) / (2 * step) - direction.slope)
            # NaN if the score is not defined there.
            if (found := difference / max(direction.scale, floor, _TINY)) < smallest:
                smallest = found
            if smallest < _GOOD:
                break
        return float(smallest)

    def _run(self, names: Sequence[str], features: Numbers, given: Feeds, index: int = 0) -> list[Any]:
        wanted = [name for name in names if name != self._tensor]
        feeds = {self._tensor: features.astype(self._kind), CLASS_INDEX: np.array([index]), **given}
        taken = {value.name for value in self._session.get_inputs()}
        needed = {name: value for name, value in feeds.items() if name in taken}
        # Without names, ONNX Runtime would compute all outputs.
        found = self._session.run(wanted, needed) if wanted else []
        by_name = dict(zip(wanted, found, strict=True)) | {self._tensor: features}
        return [np.asarray(by_name[name], np.float64) for name in names]

    def _scores(self, features: Numbers, given: Feeds) -> Numbers:
        """The score of each class, float64 [classes]."""
        (found,) = self._run([self._record.scores], features, given)
        logit_of, numbers = self._record.logit_of, found.ravel()
        if logit_of is None:
            return numbers
        return np.concatenate([-numbers, numbers] if logit_of == 1 else [numbers, -numbers])


def _nearby(features: Numbers, random: np.random.Generator) -> Numbers:
    """Features that differ by about 10 % of their root mean square; positive ones stay positive."""
    change = 0.1 * (float(np.sqrt(np.mean(features**2))) or 1.0) * random.normal(size=features.shape)
    return features + (np.abs(change) if features.min() >= 0 else change)
