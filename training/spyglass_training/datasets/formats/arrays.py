"""Data sets that come as arrays: conversion to images, and the cache of Keras."""

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
    """Return images from uint8 [count, height, width(, channels)] and labels [count].

    `stamp` identifies their file. Raises ValueError if the arrays do not fit together or a label is not one
    of the classes.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4):
        raise ValueError(
            f"images must be uint8 of 3 or 4 dimensions, not {pixels.dtype} {list(pixels.shape)}"
        )
    if labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be integers, not {labels.dtype}")
    if pixels.shape[:1] != labels.shape or not len(labels):
        raise ValueError(f"images {list(pixels.shape)} and labels {list(labels.shape)} do not fit together")
    if labels.min() < 0 or labels.max() >= class_count:
        raise ValueError(f"labels must be in 0 to {class_count - 1}")
    return [
        Example(str(index), partial(pixels.__getitem__, index), int(label), stamp=stamp)
        for index, label in enumerate(labels)
    ]


def keras_cache(name: str) -> Path:
    """Return the path of `name` in the cache of `keras.datasets`, whether or not it exists."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets" / name
