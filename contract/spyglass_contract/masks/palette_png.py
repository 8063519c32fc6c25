"""Masks as palette PNGs: the value of a pixel is the index of its class."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import ImageError, LimitExceeded
from spyglass_contract.images.header import Limits, open_header

# What PASCAL VOC paints void pixels in.
VOID_COLOR = (224, 224, 192)

# What a server can be set to serve at most, see `max_image_pixels`.
_LIMITS = Limits(max_bytes=512 * 1024 * 1024, max_pixels=128 * 1024 * 1024)

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEPTHS = (1, 2, 4, 8)
_INDEXED = 3


class _Effort(NamedTuple):
    """How the rows are packed: a filter of PNG's, and zlib's level and strategy."""

    up: bool
    level: int
    strategy: int


# Rows are like the ones above them. Up to a megapixel there is time to look for what repeats, which takes a
# seventh to a quarter fewer bytes; in larger masks only for runs, where the row above is taken away.
_SMALL = 1024 * 1024
_THOROUGH = _Effort(up=False, level=8, strategy=zlib.Z_FILTERED)
_FAST = _Effort(up=True, level=1, strategy=zlib.Z_RLE)


def encode_mask(mask: NDArray[np.uint8], colors: Sequence[tuple[int, int, int]]) -> bytes:
    """uint8 [height, width] of class indices, and 255, as a PNG in the `colors` of the classes.

    It has as few bits for each pixel as hold the classes and, where it occurs, 255. Written here and not by
    Pillow, which leaves no choice of PNG's filters: W3C, Portable Network Graphics, third edition (2025).
    """
    height, width = mask.shape
    highest = max(len(colors) - 1, int(mask.max()))
    palette = [*colors, *[VOID_COLOR] * (highest + 1 - len(colors))]
    bits = next(depth for depth in _DEPTHS if highest < 2**depth)
    header = struct.pack(">IIBBBBB", width, height, bits, _INDEXED, 0, 0, 0)
    rows = _compressed(_packed(mask, bits), _THOROUGH if mask.size <= _SMALL else _FAST)
    chunks = (
        (b"IHDR", header),
        (b"PLTE", bytes(level for color in palette for level in color)),
        (b"IDAT", rows),
        (b"IEND", b""),
    )
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _packed(mask: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """uint8 [height, bytes]: `bits` for each pixel, the first ones the highest."""
    if bits == 8:
        return mask
    if bits == 1:
        return np.packbits(mask, axis=1)
    together = 8 // bits
    missing = -mask.shape[1] % together
    # To pad is to copy, and a large mask should not be in memory more often than need be.
    padded = np.pad(mask, ((0, 0), (0, missing))) if missing else mask
    # The pixels of a byte as one little-endian number, which is multiplied: a sum of shifts, each of which
    # brings one of them to its place in the highest byte.
    numbers = np.ascontiguousarray(padded).view(f"<u{together}")
    shifts = sum(1 << ((8 + bits) * place) for place in range(together))
    shifted = numbers * numbers.dtype.type(shifts)
    return np.ascontiguousarray(shifted).view(np.uint8)[:, together - 1 :: together]


def _compressed(rows: NDArray[np.uint8], effort: _Effort) -> bytes:
    height, width = rows.shape
    filtered = np.empty((height, 1 + width), np.uint8)
    # 2 is the filter Up, 0 is none; above the first row there are zeros.
    filtered[:, 0] = 2 if effort.up else 0
    filtered[:, 1:] = rows
    if effort.up:
        filtered[1:, 1:] -= rows[:-1]
    compressor = zlib.compressobj(effort.level, memLevel=zlib.DEF_MEM_LEVEL + 1, strategy=effort.strategy)
    return compressor.compress(filtered.tobytes()) + compressor.flush()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


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
