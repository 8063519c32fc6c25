"""Finite differences of a score along directions of the explained tensor."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from spyglass_contract.model.card import CLASS_INDEX
from spyglass_export.gradcam.record import GradientRecord
from spyglass_export.proving.head_graph import part_of
from spyglass_export.proving.precise_session import PreciseSession
from spyglass_export.session import open_session

# The largest relative difference that is allowed. In double precision, right gradients agree to 1e-3,
# where the check stops to look for a better step. A wrong one differs by tenths.
TOLERANCE = 1e-2
_GOOD = 1e-3
# Steps along a direction, as parts of the root mean square of the feature map.
_STEPS = (1e-3, 1e-2, 1e-4, 3e-2, 1e-5, 1e-6)
_RANDOM = 2
# A gradient is wrong only if it differs this many times more than the steps differ from each other.
_CLEAR = 3
# Processor time. Large heads are checked for fewer images and classes.
_SECONDS = 6
# Slopes are compared with at least this part of the terms that a sum over places adds up, and of the scores:
# below that, both are rounding.
_CANCELLED, _SMALLEST, _TINY = 1e-3, 1e-5, 1e-30

Numbers = NDArray[np.floating[Any]]
Feeds = dict[str, NDArray[Any]]


class NotAlone(Exception):
    """The head of an explained tensor cannot be run by itself."""


@dataclass(frozen=True)
class _Direction:
    """A direction of the explained tensor, the slope that the gradient states for it, and its usual size."""

    moved: Numbers
    slope: float
    scale: float


class Head:
    """The graph behind one explained tensor, which is its input."""

    def __init__(
        self, model: onnx.ModelProto, record: GradientRecord, tensor: str, feeds: Sequence[Feeds]
    ) -> None:
        record = record.of_part(tensor)
        self._record, self._tensor, self._feeds = record, tensor, feeds
        before = open_session(part_of(model, [tensor]).SerializeToString())
        self._starts: list[Numbers] = [before.run([tensor], given)[0] for given in feeds]
        shape = self._starts[0].shape
        names = dict.fromkeys([record.activations, record.gradient, record.magnitudes])
        found = [name for name in names if name and name != tensor]
        self._forward = PreciseSession(part_of(model, [record.scores], tensor, shape))
        self._backward = PreciseSession(part_of(model, found, tensor, shape))

    def errors(self) -> Iterator[float]:
        """Yield the relative difference along each direction, for each image and class, while time lasts."""
        random, latest = np.random.default_rng(0), time.process_time() + _SECONDS
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
                if time.process_time() > latest:
                    return

    def _places(self, shape: tuple[int, ...], given: Feeds) -> NDArray[np.int64]:
        """The index in the explained tensor of each number of A; -1 for numbers of other tensors.

        The branch only rearranges tensors, so this feeds it the indices themselves.
        """
        labels = np.arange(1.0, np.prod(shape) + 1).reshape(shape)
        (found,) = self._branch([self._record.activations], labels, given, 0)
        (moved,) = self._branch([self._record.activations], labels + labels.size, given, 0)
        inside = (moved - found == labels.size) & (found >= 1) & (found <= labels.size) & (found % 1 == 0)
        if len(np.unique(found[inside])) < inside.sum() or not inside.any():
            raise NotAlone
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
        found = self._branch(names, features, given, index)
        gradient, terms = (self._over(each, places) for each in found)
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
        """The smallest relative difference for any step; NaN if the steps do not agree better than that."""
        slopes: list[float] = []
        scale = max(direction.scale, floor, _TINY)
        for step in _STEPS:
            ahead, behind = (
                self._scores(features + sign * step * direction.moved, given)[index] for sign in (1, -1)
            )
            slopes.append(float(ahead - behind) / (2 * step))
            if abs(slopes[-1] - direction.slope) < _GOOD * scale:
                break
        defined = [slope for slope in slopes if np.isfinite(slope)]
        difference = min((abs(slope - direction.slope) for slope in defined), default=np.nan)
        # The third smallest: two of many noisy slopes agree by chance.
        spread = sorted(abs(one - other) for one, other in combinations(defined, 2))[2:3] or [0.0]
        settled = difference <= TOLERANCE * scale or difference > _CLEAR * spread[0]
        return difference / scale if settled else np.nan

    def _scores(self, features: Numbers, given: Feeds) -> Numbers:
        """The score of each class, float64 [classes]."""
        (found,) = self._forward.run([self._record.scores], {self._tensor: features, **given})
        logit_of, numbers = self._record.logit_of, found.ravel()
        if logit_of is None:
            return numbers
        return np.concatenate([-numbers, numbers] if logit_of == 1 else [numbers, -numbers])

    def _branch(self, names: Sequence[str], features: Numbers, given: Feeds, index: int) -> list[Numbers]:
        """Tensors of the heatmap's branch for one class; the explained tensor may be among them."""
        found = self._backward.run(names, {self._tensor: features, CLASS_INDEX: np.array([index]), **given})
        return [
            features if name == self._tensor else numbers for name, numbers in zip(names, found, strict=True)
        ]


def _nearby(features: Numbers, random: np.random.Generator) -> Numbers:
    """Features that differ by about 10 % of their root mean square; positive ones stay positive."""
    change = 0.1 * (float(np.sqrt(np.mean(features**2))) or 1.0) * random.normal(size=features.shape)
    return features + (np.abs(change) if features.min() >= 0 else change)
