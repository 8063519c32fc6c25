"""Golden images for the certificate: from a folder, made smaller if necessary, or generated."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image

from spyglass_contract.errors import InvalidInput, SpyglassError
from spyglass_contract.images.decode import decode
from spyglass_contract.images.pixels import DEFAULT_LIMITS

MOST_IMAGES = 8
# Golden images are stored in the model file, and every server that loads it runs the model on them.
MOST_BYTES = 200_000

# Sides of a smaller copy, as multiples of the network's input, each with a JPEG quality.
_STEPS = ((2.0, 85), (1.5, 80), (1.0, 75), (1.0, 50), (0.5, 50), (0.25, 40))


def read_golden(folder: Path, height: int, width: int) -> dict[str, bytes]:
    """Return the images of a folder by file name, of at most 200 kB in total.

    If the files are larger, the largest are replaced by smaller JPEG copies for a network whose input has
    `height` and `width`. Hidden files are skipped. Raises InvalidInput if there are no
    images, too many, or one that cannot be read.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder of images", field="golden")
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    if not 1 <= len(files) <= MOST_IMAGES:
        raise InvalidInput(
            f"{folder} must hold 1 to {MOST_IMAGES} images for the certificate, not {len(files)} files",
            field="golden",
        )
    budget = _budget([path.stat().st_size for path in files])
    return {path.name: _within(path, budget, (height, width)) for path in files}


def _budget(sizes: list[int]) -> int:
    """The most bytes of one image: those that the smaller images leave are shared by the larger ones."""
    left = MOST_BYTES
    for index, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - index)
        if size > share:
            return share
        left -= size
    return MOST_BYTES


def _within(path: Path, budget: int, size: tuple[int, int]) -> bytes:
    """The file, or a JPEG of at most `budget` bytes with the same image upright."""
    if path.stat().st_size > DEFAULT_LIMITS.max_bytes:
        raise InvalidInput(
            f"the golden image {path.name} must have at most {DEFAULT_LIMITS.max_bytes:,} bytes",
            field="golden",
        )
    encoded = path.read_bytes()
    try:
        image, _ = decode(encoded, DEFAULT_LIMITS)
    except SpyglassError as error:
        raise InvalidInput(
            f"cannot read the golden image {path.name}: {error.message}; every file in {path.parent} must be "
            "an image",
            field="golden",
        ) from error
    if len(encoded) <= budget:
        return encoded
    for scale, quality in _STEPS:
        smaller = _encoded(_scaled(image, scale, size), "JPEG", quality=quality, optimize=True)
        if len(smaller) <= budget:
            return smaller
    raise InvalidInput(
        f"the golden image {path.name} cannot be made small enough, {budget:,} bytes, for the certificate; "
        "give fewer or simpler images",
        field="golden",
    )


def _scaled(image: Image.Image, scale: float, size: tuple[int, int]) -> Image.Image:
    """The image with sides that cover `scale` times the network's input, or the image if it is smaller.

    The long side of a very long image is bounded too, so that a line of pixels becomes small.
    """
    most = scale * max(size)
    ratio = most / min(image.size)
    ratio = min(ratio, 8 * most / max(image.size), 1)
    if ratio == 1:
        return image
    sides = (max(1, math.ceil(image.width * ratio)), max(1, math.ceil(image.height * ratio)))
    return image.resize(sides, Image.Resampling.LANCZOS)


def made_images() -> dict[str, bytes]:
    """Return generated images for a certificate without real images: a PNG and a JPEG of smooth noise.

    They prove decoding, resize and the network's arithmetic, but they show no class.
    """
    noise = np.random.RandomState(0).randint(0, 256, (6, 8, 3), dtype=np.uint8)
    smooth = Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)
    return {"made.jpg": _encoded(smooth, "JPEG"), "made.png": _encoded(smooth.rotate(180), "PNG")}


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
