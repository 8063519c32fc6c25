"""Masks in the form that a request asks for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.segment_pb2 import (
    MASK_FORMAT_PNG_INDEXED,
    MASK_FORMAT_PNG_OVERLAY,
    MASK_FORMAT_RLE,
    MASK_FORMAT_RLE_COMPRESSED,
    MASK_SIZE_AS_IMAGE,
)
from spyglass_contract.masks.colors import class_colors
from spyglass_contract.masks.drawing import draw_mask
from spyglass_contract.masks.palette_png import encode_mask
from spyglass_contract.masks.run_lengths import compress_runs, encode_runs
from spyglass_server.domain import DrawnMask, RunLengths
from spyglass_server.heatmaps.drawing import Canvas, png_bytes
from spyglass_server.masks.styles import MaskStyle

_RUN_LENGTHS = (MASK_FORMAT_RLE, MASK_FORMAT_RLE_COMPRESSED)
_NO_COUNTS = np.empty(0, np.uint32)


def encoded(
    mask: NDArray[np.uint8], style: MaskStyle, canvas: Canvas, class_names: Sequence[str]
) -> DrawnMask:
    """uint8 [height, width] of class indices, and 255, in the size that it has and the format of `style`.

    An overlay is drawn on the image of `canvas`, or on what the network saw of it.
    """
    height, width = mask.shape
    runs = _runs(mask, style, len(class_names)) if style.format in _RUN_LENGTHS else ()
    data = b"" if runs else _data(mask, style, canvas, class_names)
    return DrawnMask(height, width, style.format, data, runs)


def _data(mask: NDArray[np.uint8], style: MaskStyle, canvas: Canvas, class_names: Sequence[str]) -> bytes:
    colors = class_colors(class_names)
    if style.format == MASK_FORMAT_PNG_INDEXED:
        return encode_mask(mask, colors)
    if style.format == MASK_FORMAT_PNG_OVERLAY:
        return png_bytes(draw_mask(_background(mask, style, canvas), mask, class_names, colors))
    return mask.tobytes()


def _background(mask: NDArray[np.uint8], style: MaskStyle, canvas: Canvas) -> Image.Image:
    if style.size == MASK_SIZE_AS_IMAGE:
        return canvas.upright
    # The output of a network may be smaller than its input.
    height, width = mask.shape
    return canvas.seen.resize((width, height), Image.Resampling.BILINEAR)


def _runs(mask: NDArray[np.uint8], style: MaskStyle, class_count: int) -> tuple[RunLengths, ...]:
    of_classes = enumerate(encode_runs(mask, class_count))
    if style.format == MASK_FORMAT_RLE_COMPRESSED:
        return tuple(RunLengths(index, _NO_COUNTS, compress_runs(counts)) for index, counts in of_classes)
    return tuple(RunLengths(index, counts, b"") for index, counts in of_classes)
