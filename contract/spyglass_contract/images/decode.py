"""Decode an image file or an array to an upright image in the colour mode of a model.

The rules, each with a test:

- EXIF (JPEG, PNG, WebP) and TIFF orientation are applied, see `orientation`.
- The first frame of an animation and the first page of a TIFF are decoded, the others are not.
- Palette indices become the palette's colours. Transparent pixels and palette entries are drawn over white.
- CMYK becomes RGB by (255 - c) (255 - k) / 255; colour profiles are not applied.
- Samples of 12 and 16 bits keep their highest 8 bits. Signed, 32-bit and floating-point samples are rejected:
  their range is unknown.
- Colours that a file states as multiplied by alpha are divided by it first. An alpha channel of a BMP that is
  0 everywhere counts as none.
- A JPEG without its last marker is decoded if every line is there.
- Grey becomes RGB by repetition, RGB becomes grey by ITU-R 601 luma, 0.299 R + 0.587 G + 0.114 B.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import ImageError
from spyglass_contract.images.containers.container import Container
from spyglass_contract.images.geometry import Frame, jpeg_reduction, place
from spyglass_contract.images.header import Limits, check_pixels, open_part, read_container
from spyglass_contract.images.input_spec import is_grey
from spyglass_contract.images.orientation import (
    COLUMNS_REVERSED,
    ROWS_REVERSED,
    SIDEWAYS,
    turned,
)
from spyglass_contract.images.refusals import corrupt, cut_off
from spyglass_contract.images.silence import silence_libtiff

# Pillow's modes with a rule, beside those of 16 bits and those with colours that are multiplied by alpha.
# RGBX is RGB with an unused byte.
_READ_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_ASSOCIATED_ALPHA = {"La": "LA", "RGBa": "RGBA"}

WHITE = (255, 255, 255)

_RAW_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def decode(data: bytes, limits: Limits, spec: InputSpec | None = None) -> tuple[Image.Image, Frame]:
    """Decode a file to an upright image, and return it with its place in the decoded pixels.

    With `spec` the image has the model's colour mode, and a large JPEG is decoded at a reduced size if the
    card allows it. Without `spec` it is RGB at full size. Raises ImageError if the file cannot be decoded,
    LimitExceeded if it is larger than `limits`, and CardError if `spec` has an unknown colour mode or rule.
    """
    container = read_container(data, limits)
    stored, reduction = _stored(container, spec)
    upright = turned(stored, container.orientation)
    decoded = to_mode(upright, grey=spec is not None and is_grey(spec))
    full_size = container.width, container.height
    return decoded, _frame(full_size, decoded.size, container.orientation, reduction)


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
    elif image.mode in _ASSOCIATED_ALPHA:
        image = image.convert(_ASSOCIATED_ALPHA[image.mode])
    if image.mode not in _READ_MODES:
        raise ImageError(
            f"pixels of Pillow's mode {image.mode} are not supported; convert the image to grey or RGB with "
            "8 or 16 bits a sample",
            reason="IMAGE_COLOR_UNSUPPORTED",
            field="image",
        )
    if image.has_transparency_data:
        image = _over_white(image)
    return image if image.mode == target else image.convert(target)


def _stored(container: Container, spec: InputSpec | None) -> tuple[Image.Image, int]:
    """Return the decoded pixels of a file as they are stored, and the reduction of the decode."""
    if container.planes:
        return _merge(container), 1
    image = open_part(container, 0)
    reduction = _reduce(image, container, spec)
    _load(image)
    if container.probe:
        _check_whole(image, container, reduction)
    if image.mode.startswith("I;16"):
        image = _high_byte(image, container.bits)
    if container.white_is_zero:
        image = ImageChops.invert(image)
    if (
        container.alpha_may_be_unused
        and image.mode == "RGBA"
        and image.getchannel("A").getextrema() == (0, 0)
    ):
        image = image.convert("RGB")
    return image, reduction


def _merge(container: Container) -> Image.Image:
    """Return an image whose colours are stored in planes."""
    planes = []
    for index in range(len(container.parts)):
        plane = open_part(container, index)
        _load(plane)
        plane = _high_byte(plane, container.bits) if plane.mode.startswith("I;16") else plane.convert("L")
        planes.append(ImageChops.invert(plane) if container.white_is_zero else plane)
    return Image.merge(container.planes, planes) if len(planes) > 1 else planes[0]


def _reduce(image: Image.Image, container: Container, spec: InputSpec | None) -> int:
    """Make Pillow decode a JPEG at 1/2, 1/4 or 1/8 of its size if the card allows; return 2, 4, 8 or 1."""
    if spec is None or container.format_name != "JPEG":
        return 1
    width, height = image.size
    upright_size = (height, width) if container.orientation in SIDEWAYS else (width, height)
    reduction = jpeg_reduction(place(*upright_size, spec), spec.scaled_decode_margin)
    image.draft(None, (width // reduction, height // reduction))
    return reduction


def _check_whole(image: Image.Image, container: Container, reduction: int) -> None:
    """Raise ImageError if a JPEG without an end lacks pixels: if further coded data would change them."""
    again = open_part(replace(container, parts=(container.probe,)), 0)
    again.draft(None, (container.width // reduction, container.height // reduction))
    _load(again)
    if ImageChops.difference(image, again).getbbox(alpha_only=False):
        raise cut_off(container.format_name)


def _frame(full_size: tuple[int, int], size: tuple[int, int], stated: int, reduction: int) -> Frame:
    width, height = reversed(full_size) if stated in SIDEWAYS else full_size
    left = size[0] - width / reduction if stated in COLUMNS_REVERSED else 0.0
    top = size[1] - height / reduction if stated in ROWS_REVERSED else 0.0
    return Frame(width, height, reduction, left, top)


def _load(image: Image.Image) -> None:
    silence_libtiff()
    try:
        image.load()
    # Broken data makes Pillow's decoders raise errors of many types; the file is either cut off or corrupt.
    except Exception as error:
        if "truncated" in str(error) or isinstance(error, EOFError):
            raise cut_off(str(image.format)) from error
        raise corrupt(str(image.format)) from error


def _high_byte(image: Image.Image, bits: int = 16) -> Image.Image:
    """Return the highest 8 of `bits` bits of each sample."""
    if bits == 16:
        raw_mode = "L;16B" if image.mode == "I;16B" else "L;16"
        grey = Image.frombytes("L", image.size, image.tobytes(), "raw", raw_mode)
    else:
        grey = Image.fromarray(np.minimum(np.asarray(image) >> bits - 8, 255).astype(np.uint8))
    # A PNG may state that one of the 16-bit values is transparent: it becomes white.
    if "transparency" in image.info:
        white = np.asarray(image) == image.info["transparency"]
        grey = Image.fromarray(np.asarray(grey) | -white.view(np.uint8))
    return grey


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "LA":
        grey = Image.new("L", image.size, 255)
        grey.paste(image.getchannel("L"), mask=image.getchannel("A"))
        return grey
    rgba = image.convert("RGBA")
    flat = Image.new("RGB", rgba.size, WHITE)
    flat.paste(rgba, mask=rgba.getchannel("A"))
    return flat
