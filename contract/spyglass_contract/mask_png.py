"""Masks as palette PNGs: the value of a pixel is the index of its class."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass_contract.errors import ImageError, LimitExceeded
from spyglass_contract.header import Limits, open_header

# What PASCAL VOC paints void pixels in.
UNSEEN_COLOR = (224, 224, 192)

# What a server can be set to serve at most, see `max_image_pixels`.
_LIMITS = Limits(max_bytes=512 * 1024 * 1024, max_pixels=128 * 1024 * 1024)

_DEPTHS = (1, 2, 4, 8)
# A mask is runs: to look for nothing else takes half the time, and half the bytes, of a search for repeats.
_STRATEGY, _EFFORT = zlib.Z_RLE, 1


def encode_mask(mask: NDArray[np.uint8], colors: Sequence[tuple[int, int, int]]) -> bytes:
    """uint8 [height, width] of class indices, and 255, as a PNG in the `colors` of the classes.

    It has as few bits for each pixel as hold the classes and, where it occurs, 255.
    """
    highest = max(len(colors) - 1, int(mask.max()))
    palette = [*colors, *[UNSEEN_COLOR] * (highest + 1 - len(colors))]
    image = Image.fromarray(mask)
    image.putpalette([level for color in palette for level in color])
    bits = next(depth for depth in _DEPTHS if highest < 2**depth)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", bits=bits, compress_level=_EFFORT, compress_type=_STRATEGY)
    return buffer.getvalue()


def decode_mask(data: bytes) -> NDArray[np.uint8]:
    """uint8 [height, width]: what `encode_mask` was given. Raises ImageError where it is no palette PNG."""
    try:
        image = open_header(data, _LIMITS)
    except LimitExceeded as error:
        raise ImageError(error.message, reason=error.reason, field="mask.data") from error
    if image.format != "PNG" or image.mode != "P":
        raise ImageError(
            f"a mask is a palette PNG, not a {image.format} of kind {image.mode}",
            reason="MASK_NOT_INDEXED",
            field="mask.data",
        )
    try:
        image.load()
    # A decoder that stumbles over broken data raises anything.
    except Exception as error:
        raise ImageError("the mask is corrupt or cut off", field="mask.data") from error
    return np.asarray(image)
