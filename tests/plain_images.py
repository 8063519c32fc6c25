"""Plain images: one colour, or a gradient; and functions to encode them."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Encode a Pillow image: `encode(image, "PNG", **options)`."""
    return encode_image


def encode_image(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def color_image() -> Callable[..., bytes]:
    """Return a PNG in one colour: `color_image("red")`. The colour is a name or an RGB triple."""

    def make(color: str | tuple[int, int, int], size: tuple[int, int] = (20, 12)) -> bytes:
        return encode_image(Image.new("RGB", size, COLORS[color] if isinstance(color, str) else color))

    return make


@pytest.fixture(scope="session")
def gradient_image() -> Image.Image:
    """An RGB image of 40 × 20 pixels: red grows to the right, green grows downwards, blue is 0."""
    red, green = np.meshgrid(np.linspace(0, 255, 40), np.linspace(0, 255, 20))
    pixels = np.stack([red, green, np.zeros_like(red)], axis=2).astype(np.uint8)
    return Image.fromarray(pixels)
