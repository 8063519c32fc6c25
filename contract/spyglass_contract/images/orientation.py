"""EXIF and TIFF orientation, by CIPA DC-008, section 4.6.4 A, tag 274.

One rule for the server and its clients: an orientation that cannot be read counts as none.
"""

from __future__ import annotations

import re
import struct

from PIL import Image
from PIL.ExifTags import Base

AS_STORED = 1
SIDEWAYS = (5, 6, 7, 8)
"""Orientations that swap width and height."""
COLUMNS_REVERSED, ROWS_REVERSED = (2, 3, 6, 7), (3, 4, 7, 8)
"""Orientations after whose turn the upright image's columns, or rows, run against those of the stored one."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# The directory of an EXIF block: no more than this many entries are searched.
_MAX_ENTRIES = 1024
# TIFF types of integers of at most 4 bytes, and how to read one.
_INTEGERS = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l"}
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def exif_orientation(block: bytes) -> int:
    """Return the orientation that an EXIF block states, from its TIFF header on; 1 if it states none."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return AS_STORED
    try:
        (start,) = struct.unpack_from(f"{order}L", block, 4)
        (entries,) = struct.unpack_from(f"{order}H", block, start)
        for index in range(min(entries, _MAX_ENTRIES)):
            at = start + 2 + 12 * index
            tag, kind, count = struct.unpack_from(f"{order}HHL", block, at)
            if tag == Base.Orientation and count == 1 and kind in _INTEGERS:
                (stated,) = struct.unpack_from(order + _INTEGERS[kind], block, at + 8)
                return known_orientation(stated)
    except struct.error:
        pass
    return AS_STORED


def xmp_orientation(block: bytes) -> int:
    """Return the orientation that an XMP text states; 1 if it states none."""
    found = _XMP_ORIENTATION.search(block)
    return known_orientation(int(found[1])) if found else AS_STORED


def known_orientation(stated: int) -> int:
    """Return an orientation that a file states, or 1 (as stored) if it is not one of 1 to 8."""
    return stated if stated in _TURNS else AS_STORED


def orientation(image: Image.Image) -> int:
    """Return the orientation, 1 to 8; 1 (as stored) if the image states none or one that cannot be read."""
    try:
        stated = int(image.getexif().get(Base.Orientation, AS_STORED))
    # A broken EXIF block makes Pillow raise errors of many types.
    except Exception:
        return AS_STORED
    return known_orientation(stated)


def upright(image: Image.Image) -> Image.Image:
    """Return the image turned as its orientation states; the same object if there is nothing to turn.

    Decodes the file of an image that was opened but not loaded, and passes on what Pillow raises then.
    """
    # First: Pillow finds the EXIF block of a PNG, and turns a TIFF upright, only when it loads them.
    image.load()
    return turned(image, orientation(image))


def turned(image: Image.Image, stated: int) -> Image.Image:
    """Return a decoded image turned as the orientation `stated` says; the same object if it is 1."""
    turn = _TURNS.get(stated)
    return image if turn is None else image.transpose(turn)
