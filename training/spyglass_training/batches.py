"""Batches of a split, in an order that depends on the seed and the number of the epoch alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


class Batches(keras.utils.PyDataset):
    """Batches (inputs, labels), or (inputs, labels, weights) where classes have weights.

    `inputs` are arrays [count, …] of the same images, each as good as the others; `labels` are class
    indices [count] or [count, height, width]; `class_weights` is float32 [classes]. With a seed, `begin`
    shuffles, and draws by lot from which of the inputs each image is taken: whoever goes on at an epoch
    sees what those see who come to it from the first one.
    """

    def __init__(
        self,
        inputs: Sequence[NDArray[Any]],
        labels: NDArray[Any],
        batch_size: int,
        *,
        seed: int | None = None,
        class_weights: NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__()
        self._inputs, self._labels = inputs, labels
        self._batch_size = batch_size
        self._seed = seed
        self._class_weights = class_weights
        self._order = np.arange(len(labels))
        self._source = np.zeros(len(labels), np.int64)

    def begin(self, epoch: int) -> None:
        """Takes the order and the inputs of this epoch, counted from 0."""
        if self._seed is not None:
            random = np.random.default_rng((self._seed, epoch))
            self._order = random.permutation(len(self._labels))
            self._source = random.integers(len(self._inputs), size=len(self._labels))

    def __len__(self) -> int:
        return math.ceil(len(self._labels) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], ...]:
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        inputs, labels = self._taken(chosen), self._labels[chosen]
        if self._class_weights is None:
            return inputs, labels
        return inputs, labels, self._class_weights[labels]

    def _taken(self, chosen: NDArray[np.int64]) -> NDArray[Any]:
        if len(self._inputs) == 1:
            return self._inputs[0][chosen]
        return np.stack([self._inputs[self._source[index]][index] for index in chosen])


def balanced_weights(labels: NDArray[Any], class_count: int) -> NDArray[np.float32]:
    """float32 [class_count]: with it every class that is there counts the same; 1 on average."""
    counts = np.bincount(labels.ravel(), minlength=class_count)
    present = counts > 0
    weights = np.zeros(class_count)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights.astype(np.float32)
