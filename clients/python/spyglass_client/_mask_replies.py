"""Replies with masks, which are looked at before they are trusted."""

from __future__ import annotations

import re
from math import inf

from spyglass.v1 import segment_pb2
from spyglass.v1.segment_pb2 import SegmentRequest, SegmentResponse
from spyglass_client._images import ANY_SIZE, sent_image
from spyglass_client._results import read_model, read_timing
from spyglass_client._segmentations import MaskSize, Segmentation, SegmentedClass
from spyglass_contract.errors import InternalError, SpyglassError
from spyglass_contract.images.geometry import Box
from spyglass_contract.images.header import open_header
from spyglass_contract.masks.colors import MAX_CLASSES

MASK_SIZES: dict[MaskSize, segment_pb2.MaskSize.ValueType] = {
    "image": segment_pb2.MASK_SIZE_AS_IMAGE,
    "model": segment_pb2.MASK_SIZE_AS_MODEL,
}
_NAMES = {number: name for name, number in MASK_SIZES.items()}
_COLOR = re.compile(r"#[0-9a-f]{6}")


def read_segmentation(request: SegmentRequest, reply: SegmentResponse) -> Segmentation:
    """The answer in a reply without an error. Raises InternalError where it can be none of that image."""
    mask, frame, size = reply.mask, reply.frame, _NAMES[request.size]
    classes = _read_classes(reply)
    _check_png(mask.data, mask.width, mask.height)
    if size == "image" and (mask.width, mask.height) != (frame.image_width, frame.image_height):
        raise _invalid("the mask is not of the image's size")
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
        image=sent_image(request.image),
    )


def _read_classes(reply: SegmentResponse) -> tuple[SegmentedClass, ...]:
    if len(reply.classes) > MAX_CLASSES:
        raise _invalid(f"a mask has no {len(reply.classes)} classes")
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
    """The soft map and its class, where there is one."""
    if not reply.HasField("soft"):
        return None, None
    soft = reply.soft
    if soft.class_index >= len(classes):
        raise _invalid("the soft map is of a class that there is not")
    _check_png(soft.data, reply.mask.width, reply.mask.height)
    return soft.data, classes[soft.class_index]


def _read_box(reply: SegmentResponse) -> Box:
    frame = reply.frame
    if not (-inf < frame.left < frame.right < inf and -inf < frame.top < frame.bottom < inf):
        raise _invalid("the mask lies on no part of the image")
    return frame.left, frame.top, frame.right, frame.bottom


def _check_png(data: bytes, width: int, height: int) -> None:
    """Only the header is looked at."""
    try:
        image = open_header(data, ANY_SIZE)
    except SpyglassError as error:
        raise _invalid(error.message) from error
    if image.format != "PNG" or image.size != (width, height):
        raise _invalid(f"a {image.format} of {image.size} is no mask of {(width, height)}")


def _invalid(message: str) -> InternalError:
    return InternalError(f"the server's reply cannot be read: {message}", reason="REPLY_INVALID")
