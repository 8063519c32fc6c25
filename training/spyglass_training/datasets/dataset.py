"""What a data set is once it has been read."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import TASK_CLASSIFY, TASK_SEGMENT, Task
from spyglass_contract.model.run_folder import DataRecord

# Rows that are copied at once from file to file.
_BLOCK = 256


@dataclass(frozen=True)
class Split:
    """Images and what they show. Arrays too large for memory are `numpy.memmap`, read as they are used."""

    # uint8 [count, height, width, channels], as `spyglass_contract.images.pixels` makes them.
    pixels: NDArray[np.uint8]
    # Indices into the class names: int64 [count], one an image, or to segment uint8 [count, height, width],
    # one a pixel.
    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> Split:
        """The images at `indices`, in that order. What is not in memory stays out of it."""
        return Split(_rows(self.pixels, indices), _rows(self.labels, indices))


@dataclass(frozen=True)
class Dataset:
    """A training part, and a test part that is touched once, at the very end."""

    record: DataRecord
    class_names: tuple[str, ...]
    train: Split
    test: Split
    # What epochs are compared on; None where it is for the caller to cut it off the training part.
    validation: Split | None = None
    # The images that could not be read and were left out: "name: why".
    skipped: tuple[str, ...] = ()

    @property
    def task(self) -> Task.ValueType:
        """Whether images are labelled, or their pixels."""
        return TASK_SEGMENT if self.train.labels.ndim == 3 else TASK_CLASSIFY

    def train_and_validation(self, share: float, seed: int) -> tuple[Split, Split]:
        """The data set's own two parts; where it has no validation, a random `share` (0 to 1) of training."""
        return hold_out(self.train, share, seed) if self.validation is None else (self.train, self.validation)


def hold_out(split: Split, share: float, seed: int) -> tuple[Split, Split]:
    """Cuts a random `share` (0 to 1) off a split; returns (what remains, what was cut off)."""
    order = np.random.default_rng(seed).permutation(len(split))
    held_out = round(len(split) * share)
    return split.take(order[held_out:]), split.take(order[:held_out])


def _rows(array: NDArray[Any], indices: NDArray[np.int64]) -> NDArray[Any]:
    if not isinstance(array, np.memmap):
        return array[indices]
    # Beside the file it comes from, and without a name: it goes when the array does.
    with tempfile.TemporaryFile(dir=Path(array.filename).parent if array.filename else None) as file:
        taken = np.memmap(file, array.dtype, "w+", shape=(len(indices), *array.shape[1:]))
    for start in range(0, len(indices), _BLOCK):
        taken[start : start + _BLOCK] = array[indices[start : start + _BLOCK]]
    return taken
