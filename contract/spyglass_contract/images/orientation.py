"""EXIF and TIFF orientation, by CIPA DC-008, section 4.6.4 A, tag 274.

One rule for the server and its clients: an orientation that cannot be read counts as none.
"""

from __future__ import annotations

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


def orientation(image: Image.Image) -> int:
    """Return the orientation, 1 to 8; 1 (as stored) if the image states none or one that cannot be read."""
    try:
        stated = int(image.getexif().get(Base.Orientation, AS_STORED))
    # A broken EXIF block makes Pillow raise errors of many types.
    except Exception:
        return AS_STORED
    return stated if stated in _TURNS else AS_STORED


def upright(image: Image.Image) -> Image.Image:
    """Return the image turned as its orientation states; the same object if there is nothing to turn.

    Decodes the file of an image that was opened but not loaded, and passes on what Pillow raises then.
    """
    # First: Pillow finds the EXIF block of a PNG, and turns a TIFF upright, only when it loads them.
    image.load()
    turn = _TURNS.get(orientation(image))
    return image if turn is None else image.transpose(turn)
