"""Batches of a split, in an order that depends only on the seed and the number of the epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


class Batches(keras.utils.PyDataset):
    """Batches (inputs, labels), or (inputs, labels, weights) if classes have weights.

    `inputs` is one or more arrays [count, …] of the same images, for instance mirrored copies. `labels` are
    class indices [count] or [count, height, width]; `class_weights` is float32 [classes]. With a seed,
    `begin` shuffles the images and draws for each image which array it comes from. An epoch is the same in a
    resumed run.
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
        """Set the order and the source of each image for `epoch`, counted from 0."""
        if self._seed is not None:
            random = np.random.default_rng((self._seed, epoch))
            self._order = random.permutation(len(self._labels))
            self._source = random.integers(len(self._inputs), size=len(self._labels))

    def __len__(self) -> int:
        return math.ceil(len(self._labels) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], ...]:
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        inputs, labels = self._take(chosen), self._labels[chosen]
        if self._class_weights is None:
            return inputs, labels
        return inputs, labels, self._class_weights[labels]

    def _take(self, chosen: NDArray[np.int64]) -> NDArray[Any]:
        if len(self._inputs) == 1:
            return self._inputs[0][chosen]
        return np.stack([self._inputs[self._source[index]][index] for index in chosen])


def balanced_weights(labels: NDArray[Any], class_count: int) -> NDArray[np.float32]:
    """Return float32 [class_count]: weights that give every class that occurs the same total; mean 1."""
    counts = np.bincount(labels.ravel(), minlength=class_count)
    present = counts > 0
    weights = np.zeros(class_count)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights.astype(np.float32)
