"""The probability map of one class as a grey image."""

from __future__ import annotations

import io
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass_contract.heatmaps.overlay import grey_levels
from spyglass_contract.images.geometry import Box
from spyglass_contract.masks.interpolation import axis, interpolated

# A probability map is constant nearly everywhere: to search for runs alone is faster and saves a sixth of the
# bytes.
_STRATEGY, _EFFORT = zlib.Z_RLE, 1


def probability_map_of_image(
    values: NDArray[np.float32], box: Box, width: int, height: int
) -> NDArray[np.uint8]:
    """Return the probabilities of one class over an image, as uint8 [height, width]: 255 times the value.

    `values` are float32 [rows, columns] in [0, 1] that cover `box` of the image's plane evenly. They are
    interpolated bilinearly; pixels outside the box are 0. Takes at most 8 MB and 60 bytes for each column of
    the image in addition to the result.
    """
    left, top, right, bottom = box
    across, down = axis(values.shape[1], left, right, width), axis(values.shape[0], top, bottom, height)
    levels = np.zeros((height, width), np.uint8)
    covered = levels[down.start : down.stop, across.start : across.stop]
    for strip in down.strips(len(across.lower)):
        covered[strip] = grey_levels(interpolated(values, down.rows(strip), across, slice(None)))
    return levels


def encode_probability_map(levels: NDArray[np.uint8]) -> bytes:
    """Return uint8 [height, width] as a grey PNG."""
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "PNG", compress_level=_EFFORT, compress_type=_STRATEGY)
    return buffer.getvalue()
