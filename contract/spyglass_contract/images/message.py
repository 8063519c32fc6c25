"""The `Image` message as image data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.image_pb2 import Image, RawImage
from spyglass_contract.errors import ImageError

ImageData = bytes | NDArray[np.uint8]
"""A whole file, or upright pixels: uint8 [height, width, 1, 3 or 4], grey, RGB or RGBA."""


def image_data(image: Image) -> ImageData:
    """Return the file or the pixels in a message; pixels are a read-only view of the message's bytes.

    Raises ImageError if the message holds neither, or if the size of the pixels does not fit their number.
    """
    source = image.WhichOneof("source")
    if source == "encoded":
        return image.encoded
    if source == "raw":
        return _pixels(image.raw)
    raise ImageError("the request has no image", reason="IMAGE_MISSING", field="image")


def _pixels(raw: RawImage) -> NDArray[np.uint8]:
    expected = raw.height * raw.width * raw.channels
    if expected == 0 or len(raw.data) != expected:
        raise ImageError(
            f"{raw.height}x{raw.width}x{raw.channels} pixels take {expected:,} bytes, not {len(raw.data):,}",
            reason="IMAGE_SHAPE",
            field="image.raw",
        )
    return np.frombuffer(raw.data, np.uint8).reshape(raw.height, raw.width, raw.channels)
