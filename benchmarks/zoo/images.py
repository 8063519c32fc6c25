"""The images that networks are compared on: smooth random colours with a bright object, made from a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = 1000
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def images(count: int, side: int, seed: int) -> NDArray[np.uint8]:
    """Return `count` images, uint8 [count, side, side, 3]."""
    random = np.random.default_rng(seed)
    return np.stack([_image(random, side) for _ in range(count)])


def _image(random: np.random.Generator, side: int) -> NDArray[np.uint8]:
    coarse = Image.fromarray(random.integers(0, 256, (9, 9, 3), np.uint8))
    image = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)).astype(np.float32)
    image += random.normal(0, 12, image.shape)
    extent = int(random.integers(side // 6, side // 3))
    top, left = random.integers(0, side - extent, 2)
    image[top : top + extent, left : left + extent] = random.integers(0, 256, 3)
    return image.clip(0, 255).astype(np.uint8)


def preprocessed(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (pixel / 255 - MEAN) / STD, float32 [batch, 3, height, width]."""
    scaled = pixels.astype(np.float32) * np.float32(1 / 255)
    normalised = (scaled - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))
