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
from spyglass_contract.pixels import Prepared

# Of what one reply may hold uncompressed, or as good as: a mask of 16 megapixels as it is, or an overlay of
# five. What is drawn and not yet sent is held in memory for every request inside, a gigabyte for the 64 of a
# small server. Indexed masks and run lengths take a hundredth of their pixels, a third where noise is nothing
# but borders, and have no such limit.
MAX_REPLY_BYTES = 16 * 1024 * 1024

_PIXEL_BYTES = {MASK_FORMAT_RAW: 1, MASK_FORMAT_PNG_OVERLAY: 3}
_SOFT_PIXEL_BYTES = 1


@dataclass(frozen=True)
class MaskStyle:
    """What is wanted of a mask: by itself the class of each pixel of the picture."""

    format: MaskFormat.ValueType = MASK_FORMAT_PNG_INDEXED
    size: MaskSize.ValueType = MASK_SIZE_AS_IMAGE

    def __post_init__(self) -> None:
        if self.format not in MaskFormat.values():
            raise InvalidInput(f"there is no mask format {self.format}", field="format")
        if self.size not in MaskSize.values():
            raise InvalidInput(f"there is no mask size {self.size}", field="size")


def check_mask_room(prepared: Prepared, style: MaskStyle, *, soft: bool) -> None:
    """Raises LimitExceeded where a mask, with a soft map or without, would be too much for one reply."""
    if style.size != MASK_SIZE_AS_IMAGE:
        return
    for_each_pixel = _PIXEL_BYTES.get(style.format, 0) + (_SOFT_PIXEL_BYTES if soft else 0)
    total = for_each_pixel * prepared.width * prepared.height
    if total > MAX_REPLY_BYTES:
        raise LimitExceeded(
            f"mask and soft map would have {total:,} bytes, more than {MAX_REPLY_BYTES:,}; ask for AS_MODEL "
            "or, without a soft map, for PNG_INDEXED or RLE, and draw it where it is shown, as the client "
            "library does",
            reason="MASK_TOO_LARGE",
            field="size",
        )
