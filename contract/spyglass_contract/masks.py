"""Masks and maps between a picture and the network's input, by the placement of the picture's own pixels.

A pixel centre of the result is carried back to where it comes from: a mask, whose values are names and not
amounts, takes the pixel that it falls into, a map is interpolated between the four around it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.geometry import Box, Placement, place


def mask_to_input(mask: NDArray[np.uint8], spec: InputSpec, *, outside: int) -> NDArray[np.uint8]:
    """A mask of an upright picture, uint8 [height, width], as uint8 [spec.height, spec.width].

    Where the input shows more than the picture the mask is `outside`.
    """
    height, width = mask.shape
    placement = place(width, height, spec)
    image = _carry(
        Image.fromarray(mask),
        placement.source,
        placement.target,
        (spec.width, spec.height),
        Image.Resampling.NEAREST,
        outside,
    )
    return np.asarray(image)


def mask_to_picture(
    mask: NDArray[np.uint8], placement: Placement, width: int, height: int, *, outside: int
) -> NDArray[np.uint8]:
    """A mask of the input, uint8 [input height, input width], as uint8 [height, width] of the picture.

    Where the picture shows more than the input the mask is `outside`.
    """
    image = _carry(
        Image.fromarray(mask),
        placement.target,
        placement.source,
        (width, height),
        Image.Resampling.NEAREST,
        outside,
    )
    return np.asarray(image)


def map_to_picture(
    values: NDArray[np.float32], spec: InputSpec, placement: Placement, width: int, height: int
) -> NDArray[np.float32]:
    """A map over the input, float32 of any height and width, as float32 [height, width] of the picture.

    The map covers the input of `spec` evenly, as a feature map does. Where the picture shows more than the
    input it is 0.
    """
    rows, columns = values.shape
    horizontal, vertical = columns / spec.width, rows / spec.height
    left, top, right, bottom = placement.target
    covered = (left * horizontal, top * vertical, right * horizontal, bottom * vertical)
    image = _carry(
        Image.fromarray(values.astype(np.float32)),
        covered,
        placement.source,
        (width, height),
        Image.Resampling.BILINEAR,
        0,
    )
    return np.asarray(image)


def _carry(
    image: Image.Image,
    from_box: Box,
    to_box: Box,
    size: tuple[int, int],
    resampling: Image.Resampling,
    outside: int,
) -> Image.Image:
    """What lies in `from_box` of `image` fills `to_box` of a picture of `size`.

    What lies around it goes along, as far as there is any; beyond, the picture is `outside`.
    """
    left, top, right, bottom = to_box
    horizontal = (from_box[2] - from_box[0]) / (right - left)
    vertical = (from_box[3] - from_box[1]) / (bottom - top)
    across = (horizontal, 0.0, from_box[0] - left * horizontal)
    down = (0.0, vertical, from_box[1] - top * vertical)
    return image.transform(size, Image.Transform.AFFINE, (*across, *down), resampling, fillcolor=outside)
