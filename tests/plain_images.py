"""Images for tests: one colour, a gradient, and a function that encodes them."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Encodes a Pillow image: `encode(image, "PNG", **options)`."""
    return encode_image


def encode_image(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def color_image() -> Callable[..., bytes]:
    """A PNG in one colour: `color_image("red")`, or any RGB triple, of any (width, height)."""

    def make(color: str | tuple[int, int, int], size: tuple[int, int] = (20, 12)) -> bytes:
        return encode_image(Image.new("RGB", size, COLORS[color] if isinstance(color, str) else color))

    return make


@pytest.fixture(scope="session")
def gradient_image() -> Image.Image:
    """40 × 20 pixels in RGB: red grows to the right, green downwards, and there is no blue."""
    red, green = np.meshgrid(np.linspace(0, 255, 40), np.linspace(0, 255, 20))
    pixels = np.stack([red, green, np.zeros_like(red)], axis=2).astype(np.uint8)
    return Image.fromarray(pixels)
