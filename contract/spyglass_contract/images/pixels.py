"""An image to the network's input: the one function that training and serving share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.model_pb2 import COLOR_MODE_GREY, RESAMPLING_BICUBIC, RESIZE_RULE_PAD, InputSpec
from spyglass_contract.images.decode import decode, from_array
from spyglass_contract.images.geometry import Box, Frame, Placement, place
from spyglass_contract.images.header import Limits

DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Prepared:
    """The network's input for one image, and where the image lies in it."""

    # uint8 [height, width, channels], channels 1 (grey) or 3 (RGB), values 0 to 255.
    pixels: NDArray[np.uint8]
    # Of the upright image at full size.
    width: int
    height: int
    placement: Placement


def prepare(image: bytes | NDArray[np.uint8], spec: InputSpec, limits: Limits = DEFAULT_LIMITS) -> Prepared:
    """Decodes a file, or takes a uint8 array, and brings it to the input that `spec` states.

    Raises ImageError where it is not an image that is read, and LimitExceeded where it is too large.
    """
    if isinstance(image, np.ndarray):
        decoded = from_array(image, limits, spec)
        frame = Frame(*decoded.size)
    else:
        decoded, frame = decode(image, limits, spec)
    placement = place(frame.width, frame.height, spec)
    resized = _resize(decoded, frame.decoded(placement.source), placement, spec)
    array = np.asarray(resized)
    pixels = array[:, :, np.newaxis] if array.ndim == 2 else array
    return Prepared(pixels, frame.width, frame.height, placement)


def channels(spec: InputSpec) -> int:
    """How many channels the input has: 1 (grey) or 3 (RGB)."""
    return 1 if spec.color_mode == COLOR_MODE_GREY else 3


def _resize(image: Image.Image, box: Box, placement: Placement, spec: InputSpec) -> Image.Image:
    bicubic = spec.resampling == RESAMPLING_BICUBIC
    kernel = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    resized = image.resize(placement.target_size, kernel, box=box)
    if spec.resize != RESIZE_RULE_PAD:
        return resized
    canvas = Image.new(image.mode, (spec.width, spec.height))
    canvas.paste(resized, placement.target[:2])
    return canvas
