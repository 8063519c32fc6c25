"""What a data set is once it has been read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.run_folder import DataRecord


@dataclass(frozen=True)
class Split:
    """Pictures and what they show."""

    # uint8 [count, height, width, channels], as `spyglass_contract.pixels` makes them.
    pixels: NDArray[np.uint8]
    # int64 [count], an index into the class names.
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> Split:
        """The pictures at `indices`, in that order."""
        return Split(self.pixels[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """A training part, and a test part that is touched once, at the very end."""

    record: DataRecord
    class_names: tuple[str, ...]
    train: Split
    test: Split


def hold_out(split: Split, share: float, seed: int) -> tuple[Split, Split]:
    """Cuts a random `share` (0 to 1) off a split; returns (what remains, what was cut off)."""
    order = np.random.default_rng(seed).permutation(len(split))
    held_out = round(len(split) * share)
    return split.take(order[held_out:]), split.take(order[:held_out])
