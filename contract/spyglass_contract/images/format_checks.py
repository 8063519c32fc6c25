"""Checks of a JPEG, a TIFF or a WebP before a decoder opens it.

They bound what a small file can make a decoder do: each scan and segment of a JPEG costs it time, it makes an
object of every number in the directory of a TIFF, and it takes memory for a WebP as soon as it opens one.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from spyglass_contract.errors import ImageError, LimitExceeded

START_OF_SCAN = 0xDA

# A progressive JPEG is decoded scan by scan over the whole image: a file of a few kilobytes with
# thousands of scans would hold a core for minutes. Encoders write about ten.
_MAX_JPEG_SCANS = 64
# A colour profile takes up to 255 of them, everything else a few.
_MAX_JPEG_SEGMENTS = 2048
_END_OF_IMAGE = 0xD9
_MARKER_WITHOUT_LENGTH = 0x01
# In coded data 0xFF has a zero after it or is a restart marker; in front of a marker it may be repeated.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

# Pillow makes an object of each strip of a TIFF: 8 MB with one byte a strip would take 9 s and 600 MB.
_MAX_TIFF_LIST = 65_536
_TIFF_ENTRY = "HHL4x"
_TIFF_ENTRY_BYTES = 12
# Pillow keeps lists of these types (bytes, text and the like) as bytes, except the offsets of the image's
# strips and tiles: of those it makes numbers, even if their type is one of these.
_TIFF_BYTE_TYPES = (1, 2, 6, 7)
_TIFF_OFFSETS = (273, 324)


def check_jpeg(data: bytes) -> None:
    """Raise LimitExceeded if a JPEG has more than 64 scans or 2,048 segments."""
    scans = 0
    for segments, marker in enumerate(jpeg_markers(data), start=1):
        scans += marker == START_OF_SCAN
        if scans > _MAX_JPEG_SCANS or segments > _MAX_JPEG_SEGMENTS:
            raise LimitExceeded(
                f"the JPEG has more than {_MAX_JPEG_SCANS} scans or {_MAX_JPEG_SEGMENTS:,} segments; "
                "save it again with fewer",
                reason="IMAGE_TOO_MANY_SCANS",
                field="image",
            )


def jpeg_markers(data: bytes) -> Iterator[int]:
    """Yield the second byte of each marker of a JPEG, by ITU-T T.81, annex B.

    It ends at the end of the image: what a file has after it (the film that a phone appends) does not count,
    and neither does the content of a segment (a thumbnail).
    """
    position = 2
    while found := _MARKER.search(data, position):
        position = found.end()
        marker = data[position - 1]
        yield marker
        if marker == _END_OF_IMAGE:
            return
        if marker != _MARKER_WITHOUT_LENGTH:
            position += int.from_bytes(data[position : position + 2], "big")


def check_tiff(data: bytes) -> None:
    """Raise LimitExceeded if the directory of a TIFF lists more than 65,536 strips, tiles or other numbers.

    Raises ImageError if there is no directory.
    """
    try:
        longest = _longest_tiff_list(data)
    except struct.error as error:
        raise ImageError("the header of the TIFF is broken or cut off", field="image") from error
    if longest > _MAX_TIFF_LIST:
        raise LimitExceeded(
            f"the TIFF has more than {_MAX_TIFF_LIST:,} strips, or another list as long; "
            "save it again with larger strips",
            reason="IMAGE_TOO_MANY_STRIPS",
            field="image",
        )


def webp_size(data: bytes) -> tuple[int, int]:
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
    raise ImageError("the header of the WebP is broken or cut off", field="image")


def check_webp_length(data: bytes) -> None:
    """Raise ImageError if a WebP has fewer bytes than its header states."""
    if len(data) < int.from_bytes(data[4:8], "little") + 8:
        raise ImageError("the WEBP is cut off", reason="IMAGE_TRUNCATED", field="image")


def _longest_tiff_list(data: bytes) -> int:
    """Return the length of the longest list in the first directory, by TIFF 6.0, section 2.

    Entries that claim more numbers than the file has bytes do not count: Pillow skips them. Raises
    struct.error if there is no directory.
    """
    order = "<" if data.startswith(b"II") else ">"
    (start,) = struct.unpack_from(f"{order}L", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, start)
    whole = min(entries, (len(data) - start - 2) // _TIFF_ENTRY_BYTES)
    directory = data[start + 2 : start + 2 + whole * _TIFF_ENTRY_BYTES]
    return max(
        (
            count
            for tag, kind, count in struct.iter_unpack(order + _TIFF_ENTRY, directory)
            if count <= len(data) and (kind not in _TIFF_BYTE_TYPES or tag in _TIFF_OFFSETS)
        ),
        default=0,
    )
