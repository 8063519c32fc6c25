"""Masks brought from an image to the network's input and back, by the placement of the image itself.

The values of a mask are class indices, so they are not interpolated: each pixel of the result has the value
of the pixel that contains its centre.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.images.geometry import Box, Placement, input_box, place

VOID = 255
"""The value of pixels without a class: those outside the network's input, or of padding alone."""

MAX_PIXELS = 128 * 1024 * 1024
"""The largest mask that is decoded: that of the largest image that a server can be configured to accept."""


def mask_to_input(mask: NDArray[np.uint8], spec: InputSpec, *, outside: int) -> NDArray[np.uint8]:
    """Bring the mask of an upright image, uint8 [height, width], to uint8 [spec.height, spec.width].

    Pixels of the input that lie outside the image are `outside`.
    """
    height, width = mask.shape
    left, top, right, bottom = input_box(place(width, height, spec), spec)
    across, down = spec.width / (right - left), spec.height / (bottom - top)
    # The inverse of the input's box: the whole image in the plane of the input.
    box = (-left * across, -top * down, (width - left) * across, (height - top) * down)
    return mask_over_box(mask, box, spec.width, spec.height, outside=outside)


def mask_to_image(
    mask: NDArray[np.uint8],
    spec: InputSpec,
    placement: Placement,
    width: int,
    height: int,
    *,
    outside: int,
) -> NDArray[np.uint8]:
    """Bring the mask of an input, uint8 [spec.height, spec.width], to uint8 [height, width] of the image.

    `placement` is the place of the image in the input. Pixels of the image that lie outside the input are
    `outside`.
    """
    return mask_over_box(mask, input_box(placement, spec), width, height, outside=outside)


def mask_over_box(
    mask: NDArray[np.uint8], box: Box, width: int, height: int, *, outside: int
) -> NDArray[np.uint8]:
    """Spread a mask, uint8 [rows, columns], over `box` of a plane of `width` × `height` pixels.

    Pixels outside the box are `outside`. The result is uint8 [height, width].
    """
    left, top, right, bottom = box
    across, down = mask.shape[1] / (right - left), mask.shape[0] / (bottom - top)
    spread = Image.fromarray(mask).transform(
        (width, height),
        Image.Transform.AFFINE,
        (across, 0.0, -left * across, 0.0, down, -top * down),
        Image.Resampling.NEAREST,
        fillcolor=outside,
    )
    return np.asarray(spread)
