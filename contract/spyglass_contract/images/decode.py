"""Bytes to an upright image in the colours that a model takes.

The rules, each with a test:

- EXIF (JPEG, PNG, WebP) and TIFF orientation are applied; an orientation that cannot be read counts as none.
- Of an animation the first frame is taken, of a TIFF the first page.
- A palette is looked up. Transparency, a transparent palette entry included, is laid over white.
- CMYK becomes RGB by (255 - c) (255 - k) / 255; colour profiles are not applied.
- 16-bit samples keep their high byte. 32-bit and floating-point ones have no stated range: refused.
- Grey becomes RGB by repetition, RGB becomes grey by ITU-R 601 luma, 0.299 R + 0.587 G + 0.114 B.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base

from spyglass.v1.model_pb2 import COLOR_MODE_GREY, InputSpec
from spyglass_contract.errors import ImageError
from spyglass_contract.images.geometry import Frame, jpeg_reduction, place
from spyglass_contract.images.header import Limits, check_pixels, open_header

WHITE = (255, 255, 255)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
# What was the last column, or row, comes first.
_FROM_THE_RIGHT, _FROM_THE_BOTTOM = (2, 3, 6, 7), (3, 4, 7, 8)
_RAW_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def decode(data: bytes, limits: Limits, spec: InputSpec | None = None) -> tuple[Image.Image, Frame]:
    """A file as an upright image, and where in these pixels it lies.

    With `spec` the image comes in the model's colour mode, and a large JPEG reduced as the card allows;
    without, in RGB and at full size. Raises ImageError and LimitExceeded.
    """
    image = open_header(data, limits)
    full_size = image.size
    reduction = _reduce(image, spec) if spec is not None and image.format in ("JPEG", "MPO") else 1
    _load(image)
    # Only now: Pillow finds the EXIF of a PNG, and turns a TIFF upright by itself, when it loads them.
    orientation = _orientation(image)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    upright = to_mode(image, grey=spec is not None and spec.color_mode == COLOR_MODE_GREY)
    return upright, _frame(full_size, image.size, orientation, reduction)


def from_array(pixels: NDArray[np.uint8], limits: Limits, spec: InputSpec | None = None) -> Image.Image:
    """uint8 [height, width] or [height, width, 1, 3 or 4], upright, as an image in the model's colours.

    Raises ImageError where it is none of these, and LimitExceeded.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise ImageError(
            f"an array of {pixels.dtype} {list(pixels.shape)} is no image: uint8 [height, width, channels]",
            reason="IMAGE_SHAPE",
            field="image.raw",
        )
    height, width, *rest = pixels.shape
    channels = rest[0] if rest else 1
    if channels not in _RAW_MODES:
        raise ImageError(f"{channels} channels; 1, 3 and 4 are read", reason="IMAGE_SHAPE", field="image.raw")
    check_pixels(width, height, limits)
    flat = pixels[:, :, 0] if rest and channels == 1 else pixels
    image = Image.fromarray(np.ascontiguousarray(flat))
    return to_mode(image, grey=spec is not None and spec.color_mode == COLOR_MODE_GREY)


def to_mode(image: Image.Image, *, grey: bool) -> Image.Image:
    """The image in mode L or RGB by the rules above. Raises ImageError for colours without a rule."""
    target = "L" if grey else "RGB"
    if image.mode.startswith("I;16"):
        image = _high_byte(image)
    if image.mode in ("I", "F", "LAB", "HSV"):
        raise ImageError(
            f"pixels of kind {image.mode} are not read; 8 and 16 bits a sample are",
            reason="IMAGE_COLOR_UNSUPPORTED",
            field="image",
        )
    if image.has_transparency_data:
        image = _over_white(image)
    return image if image.mode == target else image.convert(target)


def _reduce(image: Image.Image, spec: InputSpec) -> int:
    """Has a JPEG decoded at 1/2, 1/4 or 1/8 of its size, or in full (1): whatever the card allows."""
    width, height = image.size
    upright = (height, width) if _orientation(image) in _SIDEWAYS else (width, height)
    reduction = jpeg_reduction(place(*upright, spec), spec.scaled_decode_margin)
    image.draft(None, (width // reduction, height // reduction))
    return reduction


def _frame(full_size: tuple[int, int], size: tuple[int, int], orientation: int, reduction: int) -> Frame:
    width, height = reversed(full_size) if orientation in _SIDEWAYS else full_size
    left = size[0] - width / reduction if orientation in _FROM_THE_RIGHT else 0.0
    top = size[1] - height / reduction if orientation in _FROM_THE_BOTTOM else 0.0
    return Frame(width, height, reduction, left, top)


def _load(image: Image.Image) -> None:
    try:
        image.load()
    # As in the header: a decoder that stumbles raises anything. What it means is one of two things.
    except Exception as error:
        if "truncated" in str(error) or isinstance(error, EOFError):
            raise ImageError(
                f"the {image.format} is cut off", reason="IMAGE_TRUNCATED", field="image"
            ) from error
        raise ImageError(f"the {image.format} is corrupt", field="image") from error


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(Base.Orientation, 1))
    # Broken EXIF data in a sound image: nothing to turn it by.
    except Exception:
        return 1


def _high_byte(image: Image.Image) -> Image.Image:
    samples = np.asarray(image)
    grey = Image.fromarray((samples >> 8).astype(np.uint8))
    # A PNG may name one of the 16-bit values as transparent.
    if "transparency" in image.info:
        opaque = samples != image.info["transparency"]
        grey.putalpha(Image.fromarray(np.where(opaque, 255, 0).astype(np.uint8)))
    return grey


def _over_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    flat = Image.new("RGB", rgba.size, WHITE)
    flat.paste(rgba, mask=rgba.getchannel("A"))
    return flat
