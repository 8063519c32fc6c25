"""The two images of the benchmarks: a photograph, and an image so small that the server's own cost shows."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

_EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def photo(width: int, height: int) -> bytes:
    """Return a JPEG of a real photograph at this size, quality 90."""
    with Image.open(_EXAMPLES / "coffee.jpg") as image:
        resized = image.resize((width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    resized.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def tiny() -> bytes:
    """Return a grey PNG of noise, 28×28."""
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
