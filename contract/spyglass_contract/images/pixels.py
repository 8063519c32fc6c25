"""Bring an image to the network's input: `prepare`, the function that training and serving share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.images.decode import decode, from_array
from spyglass_contract.images.geometry import Box, Frame, Placement, place
from spyglass_contract.images.header import Limits
from spyglass_contract.images.input_spec import kernel

DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Prepared:
    """The network's input for one image, and the place of the image in it."""

    # uint8 [height, width, channels], channels 1 (grey) or 3 (RGB), values 0 to 255.
    pixels: NDArray[np.uint8]
    # The size of the upright image, in pixels.
    width: int
    height: int
    placement: Placement


def prepare(image: bytes | NDArray[np.uint8], spec: InputSpec, limits: Limits = DEFAULT_LIMITS) -> Prepared:
    """Bring an image, an encoded file or upright uint8 pixels, to the input that `spec` states.

    Raises ImageError if it cannot be decoded, LimitExceeded if it is larger than `limits`, and CardError if
    `spec` has an unknown colour mode, resize rule or resampling.
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


def _resize(image: Image.Image, box: Box, placement: Placement, spec: InputSpec) -> Image.Image:
    resized = image.resize(placement.target_size, kernel(spec), box=box)
    if placement.target_size == (spec.width, spec.height):
        return resized
    canvas = Image.new(image.mode, (spec.width, spec.height))
    canvas.paste(resized, placement.target[:2])
    return canvas
