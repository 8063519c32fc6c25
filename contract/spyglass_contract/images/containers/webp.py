"""WebP by RFC 9649: the canvas and its first frame."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from spyglass_contract.images.containers.container import Container
from spyglass_contract.images.limits import Limits, check_pixels
from spyglass_contract.images.orientation import AS_STORED, exif_orientation, xmp_orientation
from spyglass_contract.images.refusals import broken_header, cut_off, too_many, too_slow

# An animation has one a frame, a still image six at most.
MAX_CHUNKS = 65_536

# A lossy WebP takes up to 60 ns a byte and 12 ns a pixel, with an alpha channel 21 ns a pixel. So this many
# bytes take 1.5 s, if a pixel counts as 0.2 or 0.36 of a byte.
MAX_LOSSY_WORK = 24 * 1024 * 1024

_PIXELS = (b"VP8 ", b"VP8L")
# Flags of VP8X; the chunks of the dropped ones are: profile, EXIF, XMP.
_ALPHA_FLAG = 0x10
_DROPPED_FLAGS = 0x20 | 0x08 | 0x04


def read(data: bytes, limits: Limits) -> Container:
    """Return the WebP without profile, metadata, unknown chunks and further frames.

    Raises LimitExceeded above 65,536 chunks, ImageError if the header is broken or the file is cut off.
    """
    width, height = canvas_size(data)
    check_pixels(width, height, limits)
    stated = int.from_bytes(data[4:8], "little") + 8
    if len(data) < stated:
        raise cut_off("WEBP")
    kept: list[bytes] = []
    orientation = by_xmp = AS_STORED
    seen: set[bytes] = set()
    for number, (kind, start, end) in enumerate(_chunks(data, stated), start=1):
        if number > MAX_CHUNKS:
            raise too_many("WebP", "IMAGE_TOO_MANY_CHUNKS", MAX_CHUNKS, "chunks", "save it again with fewer")
        if kind == b"EXIF" and kind not in seen:
            seen.add(kind)
            orientation = exif_orientation(data[start:end].removeprefix(b"Exif\0\0"))
        elif kind == b"XMP ":
            by_xmp = xmp_orientation(data[start:end])
        elif kind == b"VP8X" and not seen:
            seen.add(kind)
            kept.append(_chunk(kind, bytes([data[start] & ~_DROPPED_FLAGS]) + data[start + 1 : end]))
        elif kind in (b"ANIM", b"ALPH", b"ANMF", *_PIXELS) and kind not in seen:
            seen.add(kind)
            kept.append(_chunk(kind, data[start:end]))
    if b"VP8L" not in seen:
        _check_work(
            sum(map(len, kept)), width * height, has_alpha=bool(data[20] & _ALPHA_FLAG and seen & {b"VP8X"})
        )
    body = b"WEBP" + b"".join(kept)
    part = b"RIFF" + struct.pack("<L", len(body)) + body
    return Container("WEBP", width, height, (part,), orientation if orientation != AS_STORED else by_xmp)


def canvas_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) of a WebP, by RFC 9649, sections 2.5 to 2.7.

    Raises ImageError if the header is broken or cut off.
    """
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise broken_header("WebP")


def _check_work(coded_bytes: int, pixels: int, *, has_alpha: bool) -> None:
    limit = MAX_LOSSY_WORK - pixels * (36 if has_alpha else 20) // 100
    if coded_bytes > limit:
        raise too_slow(
            "WebP",
            f"has {coded_bytes:,} bytes; the limit for its {pixels:,} pixels is {max(limit, 0):,}: "
            "save it smaller",
        )


def _chunks(data: bytes, stated: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, begin and end of the content of each chunk."""
    position = 12
    while position + 8 <= stated:
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        yield data[position : position + 4], position + 8, min(position + 8 + length, stated)
        position += 8 + length + (length & 1)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<L", len(content)) + content + b"\0" * (len(content) & 1)
