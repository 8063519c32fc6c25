"""PNG by W3C PNG 3, section 5: header, palette, transparency and pixels of the default image."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from spyglass_contract.images.containers.container import Container
from spyglass_contract.images.limits import Limits, check_pixels
from spyglass_contract.images.orientation import AS_STORED, exif_orientation, xmp_orientation
from spyglass_contract.images.refusals import broken_header, too_many, too_slow, unsupported_kind

# Encoders write a chunk of pixels for every 4 kB or more: 32 MiB have 8,192 of them.
MAX_CHUNKS = 65_536
# Unpacking a filtered row takes up to 3.5 ns a byte, and interlaced ones twice that.
MAX_ROW_BYTES = 384 * 1024 * 1024

# Samples a pixel, by colour type.
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP = b"XML:com.adobe.xmp\0\0\0"


def read(data: bytes, limits: Limits) -> Container:
    """Return the PNG without texts, profiles, animation and private chunks, its pixels in one chunk.

    Raises LimitExceeded above 65,536 chunks; ImageError if there is no header, or if it is an iOS PNG.
    """
    kept: dict[bytes, bytes] = {}
    pixels: list[memoryview] = []
    orientation = by_xmp = AS_STORED
    exif_read = False
    view = memoryview(data)
    for number, (kind, start, end) in enumerate(_chunks(data), start=1):
        if number > MAX_CHUNKS:
            raise too_many("PNG", "IMAGE_TOO_MANY_CHUNKS", MAX_CHUNKS, "chunks", "save it again with fewer")
        if kind == b"IDAT":
            pixels.append(view[start:end])
        elif kind == b"CgBI":
            raise unsupported_kind("PNG", "that was made for iOS (CgBI)")
        elif kind in (b"IHDR", b"PLTE", b"tRNS") and not pixels:
            # With their length and checksum, which the decoder verifies.
            kept.setdefault(kind, data[start - 8 : end + 4])
        elif kind == b"eXIf" and not exif_read:
            exif_read = True
            orientation = exif_orientation(data[start:end])
        elif kind == b"iTXt" and data.startswith(_XMP, start):
            by_xmp = xmp_orientation(data[start:end])
    header = kept.pop(b"IHDR", b"")
    if len(header) < 25:
        raise broken_header("PNG")
    width, height = struct.unpack_from(">LL", header, 8)
    check_pixels(width, height, limits)
    _check_work(header, width * height)
    parts = [_SIGNATURE, header, *kept.values()]
    if pixels:
        parts += [*_chunk(b"IDAT", b"".join(pixels)), *_chunk(b"IEND", b"")]
    return Container("PNG", width, height, (b"".join(parts),), orientation if orientation != 1 else by_xmp)


def _check_work(header: bytes, pixels: int) -> None:
    depth, color_type, interlaced = header[16], header[17], bool(header[20])
    row_bytes = pixels * depth * _SAMPLES.get(color_type, 1) // 8 * (2 if interlaced else 1)
    if row_bytes > MAX_ROW_BYTES:
        raise too_slow(
            "PNG",
            f"has {row_bytes:,} bytes of unpacked rows; the limit is {MAX_ROW_BYTES:,}, and half of "
            "it if interlaced: save it with 8 bits a sample",
        )


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, begin and end of the content of each chunk up to IEND, or to where the file is broken."""
    position = len(_SIGNATURE)
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        if kind == b"IEND" or not kind.isalpha():
            return
        yield kind, position + 8, min(position + 8 + length, len(data))
        position += 12 + length


def _chunk(kind: bytes, content: bytes) -> tuple[bytes, ...]:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">L", len(content)), kind, content, struct.pack(">L", checksum)
