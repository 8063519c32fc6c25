"""The limits of images that an operator sets, and the check of an image's size."""

from __future__ import annotations

from dataclasses import dataclass

from spyglass_contract.errors import ImageError, LimitExceeded

# The most that libjpeg reads and writes. To resize and to interpolate takes memory for each row and column, a
# hundred bytes and more: a line of 64 megapixels, a PNG of 62 kB, would take 5 GB.
_MAX_SIDE = 65_500


@dataclass(frozen=True)
class Limits:
    """The largest image that is read: bytes of the file, and pixels of the image in it."""

    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = 64 * 1024 * 1024


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """Raise LimitExceeded if an image of this size is too large, and ImageError if it has no pixels."""
    if width < 1 or height < 1:
        raise ImageError(f"the image has no pixels: its size is {width}x{height}", field="image")
    if width * height > limits.max_pixels:
        raise LimitExceeded(
            f"the image has {width}x{height} pixels; the limit is {limits.max_pixels:,} pixels",
            reason="IMAGE_TOO_MANY_PIXELS",
            field="image",
        )
    if max(width, height) > _MAX_SIDE:
        raise LimitExceeded(
            f"the image has {width}x{height} pixels; the limit of a side is {_MAX_SIDE:,} pixels",
            reason="IMAGE_TOO_MANY_PIXELS",
            field="image",
        )
