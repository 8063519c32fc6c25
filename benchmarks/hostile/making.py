"""What the files of several formats are made of."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

# 64 megapixels, the server's default limit.
SIDE = 8192

# A name, and a function that makes a file of at most the given number of bytes.
Files = Iterator[tuple[str, Callable[[int], bytes]]]


def encode(image: Image.Image, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def fill(unit: bytes, size: int) -> bytes:
    """Repeat `unit` as often as `size` bytes hold it."""
    return unit * (size // len(unit))


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.RandomState(0).randint(0, 256, (side, side, 3), np.uint8))


def dense(bits: int, side: int = SIDE) -> Image.Image:
    """Noise of a few bits in each sample: the most that a file of 32 MiB holds of so many pixels."""
    values = np.random.RandomState(0).randint(0, 2**bits, (side, side), np.uint8) << 7 - bits
    grey = Image.fromarray(values)
    return Image.merge("RGB", [grey, Image.new("L", (side, side)), grey])
