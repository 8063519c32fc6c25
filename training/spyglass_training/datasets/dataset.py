"""A data set after reading."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import TASK_CLASSIFY, TASK_SEGMENT, Task
from spyglass_contract.model.run_folder import DataRecord, LeftOut

# Rows that are copied at once from file to file.
_BLOCK = 256


@dataclass(frozen=True)
class Split:
    """Images and their labels. Arrays too large for memory are `numpy.memmap`."""

    # uint8 [count, height, width, channels], as `spyglass_contract.images.pixels` makes them.
    pixels: NDArray[np.uint8]
    # Indices into the class names: int64 [count], one for each image; or, for segmentation, uint8 [count,
    # height, width], one for each pixel.
    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> Split:
        """Return the images at `indices`, in that order; memory-mapped arrays stay on disk."""
        return Split(_rows(self.pixels, indices), _rows(self.labels, indices))


@dataclass(frozen=True)
class Dataset:
    """A training part, and a test part that is used once, at the end of a run."""

    record: DataRecord
    class_names: tuple[str, ...]
    train: Split
    test: Split
    # The part that compares epochs; None if the caller must cut it off the training part.
    validation: Split | None = None
    # The images that could not be read and were skipped: "name: why".
    skipped: tuple[str, ...] = ()
    # The files that are not used, by reason.
    left_out: tuple[LeftOut, ...] = ()
    # What is suspicious about the data, one sentence each.
    warnings: tuple[str, ...] = ()

    @property
    def task(self) -> Task.ValueType:
        """Classification of images or segmentation, by the shape of the labels."""
        return TASK_SEGMENT if self.train.labels.ndim == 3 else TASK_CLASSIFY

    def train_and_validation(self, share: float, seed: int) -> tuple[Split, Split]:
        """Return the two parts; without a validation part, a random `share` (0 to 1) of the training part."""
        return hold_out(self.train, share, seed) if self.validation is None else (self.train, self.validation)


def hold_out(split: Split, share: float, seed: int) -> tuple[Split, Split]:
    """Cut a random `share` (0 to 1) off a split; return (the rest, the cut-off part)."""
    order = np.random.default_rng(seed).permutation(len(split))
    held_out = round(len(split) * share)
    return split.take(order[held_out:]), split.take(order[:held_out])


def _rows(array: NDArray[Any], indices: NDArray[np.int64]) -> NDArray[Any]:
    if not isinstance(array, np.memmap):
        return array[indices]
    # In the same folder and without a name: the file disappears with the array.
    with tempfile.TemporaryFile(dir=Path(array.filename).parent if array.filename else None) as file:
        taken = np.memmap(file, array.dtype, "w+", shape=(len(indices), *array.shape[1:]))
    for start in range(0, len(indices), _BLOCK):
        taken[start : start + _BLOCK] = array[indices[start : start + _BLOCK]]
    return taken
