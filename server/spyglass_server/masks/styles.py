"""The forms that a mask can be had in, and how large each may be."""

from __future__ import annotations

from dataclasses import dataclass

from spyglass.v1.segment_pb2 import (
    MASK_FORMAT_PNG_INDEXED,
    MASK_FORMAT_PNG_OVERLAY,
    MASK_FORMAT_RAW,
    MASK_SIZE_AS_IMAGE,
    MaskFormat,
    MaskSize,
)
from spyglass_contract.errors import InvalidInput, LimitExceeded
from spyglass_contract.images.pixels import Prepared
from spyglass_server.domain import DrawnMask, SoftMap

# Of mask and soft map of one reply, as they travel: a mask of 16 megapixels as it is, an overlay of 12. Until
# they are sent they are held in memory, for every request inside: a gigabyte for the 64 of a small server.
MAX_REPLY_BYTES = 16 * 1024 * 1024

# About, to be known before anything is drawn: an overlay, which is packed, takes 20 bytes a pixel while it is
# made. Indexed masks, soft maps and run lengths take a hundredth of their pixels.
_PIXEL_BYTES = {MASK_FORMAT_RAW: 1.0, MASK_FORMAT_PNG_OVERLAY: 1.3}


@dataclass(frozen=True)
class MaskStyle:
    """What is wanted of a mask: by itself the class of each pixel of the image."""

    format: MaskFormat.ValueType = MASK_FORMAT_PNG_INDEXED
    size: MaskSize.ValueType = MASK_SIZE_AS_IMAGE

    def __post_init__(self) -> None:
        if self.format not in MaskFormat.values():
            raise InvalidInput(f"there is no mask format {self.format}", field="format")
        if self.size not in MaskSize.values():
            raise InvalidInput(f"there is no mask size {self.size}", field="size")


def check_mask_room(prepared: Prepared, style: MaskStyle) -> None:
    """Raises LimitExceeded where a mask would by far be too much for one reply."""
    if style.size == MASK_SIZE_AS_IMAGE:
        for_each_pixel = _PIXEL_BYTES.get(style.format, 0)
        _check_bytes(round(for_each_pixel * prepared.width * prepared.height))


def check_reply_room(mask: DrawnMask, soft: SoftMap | None) -> None:
    """Raises LimitExceeded where a mask, and a soft map if there is one, are too much for one reply."""
    _check_bytes(len(mask.data) + (len(soft.data) if soft else 0))


def _check_bytes(total: int) -> None:
    if total > MAX_REPLY_BYTES:
        raise LimitExceeded(
            f"the mask takes {total:,} bytes, more than {MAX_REPLY_BYTES:,}; ask for AS_MODEL, or for "
            "PNG_INDEXED or RLE, and draw it where it is shown, as the client library does",
            reason="MASK_TOO_LARGE",
            field="size",
        )
