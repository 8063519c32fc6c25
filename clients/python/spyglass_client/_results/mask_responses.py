"""Responses with masks, checked before they are used."""

from __future__ import annotations

import re
from math import inf

from spyglass.v1 import segment_pb2
from spyglass.v1.segment_pb2 import SegmentRequest, SegmentResponse
from spyglass_client._images import ANY_SIZE
from spyglass_client._results.classifications import read_model, read_timing
from spyglass_client._results.segmentations import MaskSize, Segmentation, SegmentedClass
from spyglass_contract.errors import InternalError, SpyglassError
from spyglass_contract.images.geometry import Box
from spyglass_contract.images.header import open_header
from spyglass_contract.images.message import image_data
from spyglass_contract.masks.colors import MAX_CLASSES

MASK_SIZES: dict[MaskSize, segment_pb2.MaskSize.ValueType] = {
    "image": segment_pb2.MASK_SIZE_AS_IMAGE,
    "model": segment_pb2.MASK_SIZE_AS_MODEL,
}
_NAMES = {number: name for name, number in MASK_SIZES.items()}
_COLOR = re.compile(r"#[0-9a-f]{6}")


def read_segmentation(request: SegmentRequest, reply: SegmentResponse) -> Segmentation:
    """Return the segmentation in a response without an error.

    Raises InternalError if it cannot be of that image.
    """
    mask, frame, size = reply.mask, reply.frame, _NAMES[request.size]
    classes = _read_classes(reply)
    _check_png(mask.data, mask.width, mask.height)
    if size == "image" and (mask.width, mask.height) != (frame.image_width, frame.image_height):
        raise _invalid("the mask and the image differ in size")
    soft_png, soft_class = _read_soft(reply, classes)
    return Segmentation(
        classes=classes,
        model=read_model(reply.served_by),
        timing=read_timing(reply.timing),
        id=reply.id,
        png=mask.data,
        shape=(mask.height, mask.width),
        size=size,
        soft_png=soft_png,
        soft_class=soft_class,
        width=frame.image_width,
        height=frame.image_height,
        box=_read_box(reply),
        image=image_data(request.image),
    )


def _read_classes(reply: SegmentResponse) -> tuple[SegmentedClass, ...]:
    if len(reply.classes) > MAX_CLASSES:
        raise _invalid(f"a mask has at most {MAX_CLASSES} classes, not {len(reply.classes)}")
    return tuple(_read_class(index, entry) for index, entry in enumerate(reply.classes))


def _read_class(position: int, entry: segment_pb2.SegmentClass) -> SegmentedClass:
    if entry.index != position or not _COLOR.fullmatch(entry.color):
        raise _invalid("the classes are not listed in order, each with its colour")
    return SegmentedClass(
        entry.index, entry.name, entry.pixels, entry.fraction, entry.mean_score, entry.color
    )


def _read_soft(
    reply: SegmentResponse, classes: tuple[SegmentedClass, ...]
) -> tuple[bytes | None, SegmentedClass | None]:
    """Return the probability map and its class, or None for both."""
    if not reply.HasField("soft"):
        return None, None
    soft = reply.soft
    if soft.class_index >= len(classes):
        raise _invalid("the probability map is of an unknown class")
    _check_png(soft.data, reply.mask.width, reply.mask.height)
    return soft.data, classes[soft.class_index]


def _read_box(reply: SegmentResponse) -> Box:
    frame = reply.frame
    if not (-inf < frame.left < frame.right < inf and -inf < frame.top < frame.bottom < inf):
        raise _invalid("the box of the mask is empty or infinite")
    return frame.left, frame.top, frame.right, frame.bottom


def _check_png(data: bytes, width: int, height: int) -> None:
    """Check the header only."""
    try:
        image = open_header(data, ANY_SIZE)
    except SpyglassError as error:
        raise _invalid(error.message) from error
    if image.format != "PNG" or image.size != (width, height):
        raise _invalid(
            f"a mask must be a PNG of {(width, height)} pixels, not a {image.format} of {image.size}"
        )


def _invalid(message: str) -> InternalError:
    return InternalError(f"the response is invalid: {message}", reason="REPLY_INVALID")
