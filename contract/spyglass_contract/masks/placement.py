"""Masks between an image and the network's input, by the placement of the image's own pixels.

The values of a mask are names, not amounts: nothing is interpolated. Each pixel of the result takes the value
of the pixel that its centre falls into.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.images.geometry import Box, Placement, input_box, place

VOID = 255
"""The value of a mask where the network did not look; so it has no class of this index."""


def mask_to_input(mask: NDArray[np.uint8], spec: InputSpec, *, outside: int) -> NDArray[np.uint8]:
    """The mask of an upright image, uint8 [height, width], as uint8 [spec.height, spec.width].

    Where the input shows more than the image the mask is `outside`.
    """
    height, width = mask.shape
    left, top, right, bottom = input_box(place(width, height, spec), spec)
    across, down = spec.width / (right - left), spec.height / (bottom - top)
    # The same box the other way round: where the whole image lies in the plane of the input.
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
    """The mask of an input, uint8 [spec.height, spec.width], as uint8 [height, width] of the image.

    `placement` is the image's own. Where the image shows more than the input the mask is `outside`.
    """
    return mask_over_box(mask, input_box(placement, spec), width, height, outside=outside)


def mask_over_box(
    mask: NDArray[np.uint8], box: Box, width: int, height: int, *, outside: int
) -> NDArray[np.uint8]:
    """The mask where it covers `box` of a plane of `width` × `height` pixels, and `outside` elsewhere.

    The result is uint8 [height, width].
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
