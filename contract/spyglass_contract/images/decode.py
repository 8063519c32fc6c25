"""Decode an image file or an array to an upright image in the colour mode of a model.

The rules, each with a test:

- EXIF (JPEG, PNG, WebP) and TIFF orientation are applied, see `orientation`.
- The first frame of an animation and the first page of a TIFF are decoded, the others are not.
- Palette indices become the palette's colours. Transparent pixels and palette entries are drawn over white.
- CMYK becomes RGB by (255 - c) (255 - k) / 255; colour profiles are not applied.
- 16-bit samples keep their high byte. 32-bit and floating-point samples are rejected: their range is unknown.
- Grey becomes RGB by repetition, RGB becomes grey by ITU-R 601 luma, 0.299 R + 0.587 G + 0.114 B.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import ImageError
from spyglass_contract.images.geometry import Frame, jpeg_reduction, place
from spyglass_contract.images.header import Limits, check_pixels, open_header
from spyglass_contract.images.input_spec import is_grey
from spyglass_contract.images.orientation import (
    COLUMNS_REVERSED,
    ROWS_REVERSED,
    SIDEWAYS,
    orientation,
    upright,
)

WHITE = (255, 255, 255)

_RAW_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def decode(data: bytes, limits: Limits, spec: InputSpec | None = None) -> tuple[Image.Image, Frame]:
    """Decode a file to an upright image, and return it with its place in the decoded pixels.

    With `spec` the image has the model's colour mode, and a large JPEG is decoded at a reduced size if the
    card allows it. Without `spec` it is RGB at full size. Raises ImageError if the file cannot be decoded,
    LimitExceeded if it is larger than `limits`, and CardError if `spec` has an unknown colour mode or rule.
    """
    image = open_header(data, limits)
    full_size = image.size
    # Pillow calls a JPEG that holds several images an MPO.
    reduction = _reduce(image, spec) if spec is not None and image.format in ("JPEG", "MPO") else 1
    _load(image)
    # After loading: see `upright`.
    stated = orientation(image)
    turned = upright(image)
    decoded = to_mode(turned, grey=spec is not None and is_grey(spec))
    return decoded, _frame(full_size, decoded.size, stated, reduction)


def from_array(pixels: NDArray[np.uint8], limits: Limits, spec: InputSpec | None = None) -> Image.Image:
    """Return upright pixels, uint8 [height, width] or [height, width, 1, 3 or 4], as an image.

    The image has the colour mode of `spec`, or RGB without it. Raises ImageError for another shape or dtype,
    LimitExceeded if the image is larger than `limits`, and CardError if `spec` has an unknown colour mode.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise ImageError(
            "an array must be uint8 [height, width] or [height, width, channels], "
            f"not {pixels.dtype} {list(pixels.shape)}",
            reason="IMAGE_SHAPE",
            field="image.raw",
        )
    height, width, *rest = pixels.shape
    channels = rest[0] if rest else 1
    if channels not in _RAW_MODES:
        raise ImageError(
            f"an array must have 1, 3 or 4 channels, not {channels}", reason="IMAGE_SHAPE", field="image.raw"
        )
    check_pixels(width, height, limits)
    flat = pixels[:, :, 0] if rest and channels == 1 else pixels
    image = Image.fromarray(np.ascontiguousarray(flat))
    return to_mode(image, grey=spec is not None and is_grey(spec))


def to_mode(image: Image.Image, *, grey: bool) -> Image.Image:
    """Return the image in mode L or RGB, by the rules above.

    Raises ImageError if its pixels have more than 16 bits a sample or a colour space without a rule.
    """
    target = "L" if grey else "RGB"
    if image.mode.startswith("I;16"):
        image = _high_byte(image)
    if image.mode in ("I", "F", "LAB", "HSV"):
        raise ImageError(
            f"pixels of Pillow's mode {image.mode} are not supported; convert the image to grey or RGB with "
            "8 or 16 bits a sample",
            reason="IMAGE_COLOR_UNSUPPORTED",
            field="image",
        )
    if image.has_transparency_data:
        image = _over_white(image)
    return image if image.mode == target else image.convert(target)


def _reduce(image: Image.Image, spec: InputSpec) -> int:
    """Make Pillow decode a JPEG at 1/2, 1/4 or 1/8 of its size if the card allows; return 2, 4, 8 or 1."""
    width, height = image.size
    upright_size = (height, width) if orientation(image) in SIDEWAYS else (width, height)
    reduction = jpeg_reduction(place(*upright_size, spec), spec.scaled_decode_margin)
    image.draft(None, (width // reduction, height // reduction))
    return reduction


def _frame(full_size: tuple[int, int], size: tuple[int, int], stated: int, reduction: int) -> Frame:
    width, height = reversed(full_size) if stated in SIDEWAYS else full_size
    left = size[0] - width / reduction if stated in COLUMNS_REVERSED else 0.0
    top = size[1] - height / reduction if stated in ROWS_REVERSED else 0.0
    return Frame(width, height, reduction, left, top)


def _load(image: Image.Image) -> None:
    try:
        image.load()
    # Broken data makes Pillow's decoders raise errors of many types; the file is either cut off or corrupt.
    except Exception as error:
        if "truncated" in str(error) or isinstance(error, EOFError):
            raise ImageError(
                f"the {image.format} is cut off", reason="IMAGE_TRUNCATED", field="image"
            ) from error
        raise ImageError(f"the {image.format} is corrupt", field="image") from error


def _high_byte(image: Image.Image) -> Image.Image:
    samples = np.asarray(image)
    grey = Image.fromarray((samples >> 8).astype(np.uint8))
    # A PNG may state that one of the 16-bit values is transparent.
    if "transparency" in image.info:
        opaque = samples != image.info["transparency"]
        grey.putalpha(Image.fromarray(np.where(opaque, 255, 0).astype(np.uint8)))
    return grey


def _over_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    flat = Image.new("RGB", rgba.size, WHITE)
    flat.paste(rgba, mask=rgba.getchannel("A"))
    return flat
