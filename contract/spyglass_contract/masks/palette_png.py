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
from spyglass_contract.masks.placement import MAX_PIXELS

# The colour of void pixels in PASCAL VOC.
VOID_COLOR = (224, 224, 192)

_LIMITS = Limits(max_bytes=512 * 1024 * 1024, max_pixels=MAX_PIXELS)

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEPTHS = (1, 2, 4, 8)
_INDEXED = 3


class _Effort(NamedTuple):
    """How the rows are compressed: PNG's filter Up or none, and zlib's level and strategy."""

    up: bool
    level: int
    strategy: int


# Up to a megapixel there is time for zlib to search for repetitions: a seventh to a quarter fewer bytes. For
# larger masks the row above is subtracted (rows resemble each other) and zlib searches for runs alone.
_SMALL = 1024 * 1024
_THOROUGH = _Effort(up=False, level=8, strategy=zlib.Z_FILTERED)
_FAST = _Effort(up=True, level=1, strategy=zlib.Z_RLE)


def encode_mask(mask: NDArray[np.uint8], colors: Sequence[tuple[int, int, int]]) -> bytes:
    """Return a mask, uint8 [height, width] of class indices and VOID, as a PNG in the classes' `colors`.

    A pixel has 1, 2, 4 or 8 bits: the fewest that hold all classes, and VOID if it occurs. The PNG is written
    here (W3C, Portable Network Graphics, third edition, 2025), because Pillow cannot set PNG's filters.
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
    """Return uint8 [height, bytes] with `bits` for each pixel, the first pixel in the highest bits."""
    if bits == 8:
        return mask
    if bits == 1:
        return np.packbits(mask, axis=1)
    together = 8 // bits
    missing = -mask.shape[1] % together
    # Padding copies the mask, so it is done only if it is needed.
    padded = np.pad(mask, ((0, 0), (0, missing))) if missing else mask
    # The pixels of a byte are read as one little-endian number. The multiplication is a sum of shifts, each
    # of which moves one pixel to its place in the highest byte.
    numbers = np.ascontiguousarray(padded).view(f"<u{together}")
    shifts = sum(1 << ((8 + bits) * place) for place in range(together))
    shifted = numbers * numbers.dtype.type(shifts)
    return np.ascontiguousarray(shifted).view(np.uint8)[:, together - 1 :: together]


def _compressed(rows: NDArray[np.uint8], effort: _Effort) -> bytes:
    height, width = rows.shape
    filtered = np.empty((height, 1 + width), np.uint8)
    # 2 is the filter Up, 0 is none. The row above the first one counts as zeros.
    filtered[:, 0] = 2 if effort.up else 0
    filtered[:, 1:] = rows
    if effort.up:
        filtered[1:, 1:] -= rows[:-1]
    compressor = zlib.compressobj(effort.level, memLevel=zlib.DEF_MEM_LEVEL + 1, strategy=effort.strategy)
    return compressor.compress(filtered.tobytes()) + compressor.flush()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def decode_mask(data: bytes) -> NDArray[np.uint8]:
    """Return the mask of a palette PNG, uint8 [height, width].

    Raises ImageError if `data` is something else, is broken, or has more than MAX_PIXELS.
    """
    try:
        image = open_header(data, _LIMITS)
    except LimitExceeded as error:
        raise ImageError(error.message, reason=error.reason, field="mask.data") from error
    if image.format != "PNG" or image.mode != "P":
        raise ImageError(
            f"a mask must be a palette PNG (Pillow's mode P), not {image.format} of mode {image.mode}",
            reason="MASK_NOT_INDEXED",
            field="mask.data",
        )
    try:
        image.load()
    # Broken data makes Pillow's decoders raise errors of many types.
    except Exception as error:
        raise ImageError("the mask is corrupt or cut off", field="mask.data") from error
    return np.asarray(image)
