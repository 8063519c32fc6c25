"""Data sets that come as arrays: how theirs become images, and where Keras keeps them."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass_training.datasets.example import Example


def array_images(
    pixels: NDArray[np.uint8], labels: NDArray[np.integer[Any]], class_count: int, stamp: str
) -> list[Example]:
    """Images uint8 [count, height, width(, channels)] with labels [count]; `stamp` tells of their file.

    Raises ValueError where they do not fit together or a label is none of the classes.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4):
        raise ValueError(f"{pixels.dtype} {list(pixels.shape)} are no images")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"{labels.dtype} are no labels")
    if pixels.shape[:1] != labels.shape or not len(labels):
        raise ValueError(f"images {list(pixels.shape)} and labels {list(labels.shape)} do not fit together")
    if labels.min() < 0 or labels.max() >= class_count:
        raise ValueError(f"a label is not in 0 to {class_count - 1}")
    return [
        Example(str(index), partial(pixels.__getitem__, index), int(label), stamp=stamp)
        for index, label in enumerate(labels)
    ]


def keras_cache(name: str) -> Path:
    """Where `keras.datasets` would have put `name`, whether or not it is there."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets" / name
