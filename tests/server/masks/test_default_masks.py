"""Mask requests without a format or size, and the limit of their responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spyglass.v1.image_pb2 import Image
from spyglass.v1.segment_pb2 import (
    MASK_FORMAT_PNG_INDEXED,
    MASK_FORMAT_RAW,
    MASK_FORMAT_RLE,
    MASK_SIZE_AS_IMAGE,
    Mask,
    RunLengths,
    SegmentRequest,
    SoftMap,
)
from spyglass.v1.vision_pb2_grpc import VisionStub
from spyglass_contract.errors import LimitExceeded
from spyglass_server.masks.encoding import MaskStyle, check_reply_size


def test_the_default_mask_is_an_indexed_png_of_the_size_of_the_image(
    segmenting: VisionStub, color_image: Callable[..., bytes]
) -> None:
    request = SegmentRequest(image=Image(encoded=color_image("red", (50, 40))))
    default = segmenting.Segment(request).mask
    assert (default.format, default.width, default.height) == (MASK_FORMAT_PNG_INDEXED, 50, 40)
    assert default.data.startswith(b"\x89PNG")

    request.format, request.size = MASK_FORMAT_PNG_INDEXED, MASK_SIZE_AS_IMAGE
    assert segmenting.Segment(request).mask == default


def test_more_than_4_mb_is_sent_to_a_request_that_states_its_format(
    segmenting: VisionStub, color_image: Callable[..., bytes]
) -> None:
    request = SegmentRequest(image=Image(encoded=color_image("red", (2001, 2001))), format=MASK_FORMAT_RAW)
    assert len(segmenting.Segment(request).mask.data) == 2001 * 2001


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, 4_000_000),
        ({"soft_class_index": 0}, 4_000_000),
        ({"format": MASK_FORMAT_PNG_INDEXED}, 16_777_216),
        ({"size": MASK_SIZE_AS_IMAGE}, 16_777_216),
    ],
    ids=["neither", "probability map alone", "format", "size"],
)
def test_mask_and_probability_map_together_stay_within_the_limit(fields: dict[str, Any], limit: int) -> None:
    style = MaskStyle.from_request(SegmentRequest(**fields))
    soft = SoftMap(data=bytes(1000))
    check_reply_size(Mask(data=bytes(limit - 1000)), soft, style)
    with pytest.raises(LimitExceeded, match=f"more than {limit:,}") as refused:
        check_reply_size(Mask(data=bytes(limit - 999)), soft, style)
    assert (refused.value.reason, refused.value.field) == ("MASK_TOO_LARGE", "size")
    assert ("state `format` or `size`" in refused.value.message) == (limit == 4_000_000)


def test_the_limit_applies_to_run_lengths() -> None:
    """A mask of noise has about as many runs as pixels."""
    style = MaskStyle.from_request(SegmentRequest(format=MASK_FORMAT_RLE))
    runs = [RunLengths(class_index=index, counts=[1] * 9_000_000) for index in range(2)]
    with pytest.raises(LimitExceeded, match="more than 16,777,216"):
        check_reply_size(Mask(runs=runs), None, style)
