"""Masks in the format and size of a request, and the bounds on their size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.segment_pb2 import (
    MASK_FORMAT_PNG_INDEXED,
    MASK_FORMAT_PNG_OVERLAY,
    MASK_FORMAT_RAW,
    MASK_FORMAT_RLE,
    MASK_FORMAT_RLE_COMPRESSED,
    MASK_FORMAT_UNSPECIFIED,
    MASK_SIZE_AS_IMAGE,
    MASK_SIZE_AS_MODEL,
    MASK_SIZE_UNSPECIFIED,
    Mask,
    MaskFormat,
    MaskSize,
    RunLengths,
    SegmentRequest,
    SoftMap,
)
from spyglass_contract.errors import InvalidInput, LimitExceeded
from spyglass_contract.images.pixels import Prepared
from spyglass_contract.masks.colors import class_colors
from spyglass_contract.masks.drawing import draw_mask
from spyglass_contract.masks.palette_png import encode_mask
from spyglass_contract.masks.run_lengths import compress_runs, encode_runs
from spyglass_server.engine.canvas import Canvas, png_bytes
from spyglass_server.engine.limits import limit_hint, reply_limit

_SIZES = (MASK_SIZE_AS_IMAGE, MASK_SIZE_AS_MODEL)

# Bytes of a pixel, roughly, to bound a mask before it is drawn. An overlay takes 20 bytes a pixel while it is
# made. Indexed masks, probability maps and run lengths take about a hundredth of a byte a pixel.
_PIXEL_BYTES = {
    MASK_FORMAT_PNG_INDEXED: 0.0,
    MASK_FORMAT_RLE: 0.0,
    MASK_FORMAT_RAW: 1.0,
    MASK_FORMAT_PNG_OVERLAY: 1.3,
    MASK_FORMAT_RLE_COMPRESSED: 0.0,
}


@dataclass(frozen=True)
class MaskStyle:
    """The format and the size of the mask of one request. Raises InvalidInput for unknown ones."""

    format: MaskFormat.ValueType = MASK_FORMAT_PNG_INDEXED
    size: MaskSize.ValueType = MASK_SIZE_AS_IMAGE
    # Whether the request states one of them, and does not leave both to the server.
    named: bool = True

    @classmethod
    def from_request(cls, request: SegmentRequest) -> Self:
        """Return what the request states, completed: an indexed PNG of the image's size is the default."""
        return cls(
            request.format or MASK_FORMAT_PNG_INDEXED,
            request.size or MASK_SIZE_AS_IMAGE,
            request.format != MASK_FORMAT_UNSPECIFIED or request.size != MASK_SIZE_UNSPECIFIED,
        )

    def __post_init__(self) -> None:
        if self.format not in _PIXEL_BYTES:
            raise InvalidInput(f"there is no mask format {self.format}", field="format")
        if self.size not in _SIZES:
            raise InvalidInput(f"there is no mask size {self.size}", field="size")


def check_mask_size(prepared: Prepared, style: MaskStyle) -> None:
    """Raise LimitExceeded if the mask will take far more bytes than one response may have."""
    if style.size == MASK_SIZE_AS_IMAGE:
        _check_bytes(round(_PIXEL_BYTES[style.format] * prepared.width * prepared.height), style.named)


def check_reply_size(mask: Mask, soft: SoftMap | None, style: MaskStyle) -> None:
    """Raise LimitExceeded if the mask and the probability map take more bytes than one response may have."""
    runs = sum(run.ByteSize() for run in mask.runs)
    _check_bytes(len(mask.data) + runs + (len(soft.data) if soft else 0), style.named)


def _check_bytes(total: int, named: bool) -> None:
    limit = reply_limit(named=named)
    if total > limit:
        raise LimitExceeded(
            f"the mask takes {total:,} bytes, more than {limit:,}{limit_hint(named=named)}; request "
            "AS_MODEL, PNG_INDEXED or RLE, and draw it in the client, as the client library does",
            reason="MASK_TOO_LARGE",
            field="size",
        )


def encode(mask: NDArray[np.uint8], style: MaskStyle, canvas: Canvas, class_names: Sequence[str]) -> Mask:
    """Return uint8 [height, width] of class indices and 255 in the format of `style`, at its own size.

    An overlay is drawn on the image of `canvas`, or on the network's input if the size is AS_MODEL.
    """
    height, width = mask.shape
    encoded = Mask(height=height, width=width, format=style.format)
    if style.format == MASK_FORMAT_PNG_INDEXED:
        encoded.data = encode_mask(mask, class_colors(class_names))
    elif style.format == MASK_FORMAT_PNG_OVERLAY:
        background = _background(mask, style, canvas)
        encoded.data = png_bytes(draw_mask(background, mask, class_names, class_colors(class_names)))
    elif style.format == MASK_FORMAT_RAW:
        encoded.data = mask.tobytes()
    else:
        encoded.runs.extend(_runs(mask, style, len(class_names)))
    return encoded


def _background(mask: NDArray[np.uint8], style: MaskStyle, canvas: Canvas) -> Image.Image:
    if style.size == MASK_SIZE_AS_IMAGE:
        return canvas.upright
    # The output of a network may be smaller than its input.
    height, width = mask.shape
    return canvas.network_input.resize((width, height), Image.Resampling.BILINEAR)


def _runs(mask: NDArray[np.uint8], style: MaskStyle, class_count: int) -> Iterator[RunLengths]:
    for index, counts in enumerate(encode_runs(mask, class_count)):
        if style.format == MASK_FORMAT_RLE_COMPRESSED:
            yield RunLengths(class_index=index, compressed=compress_runs(counts))
        else:
            yield RunLengths(class_index=index, counts=counts.tolist())
