"""Requests that leave format or size of a mask to the server, and the limit of what they receive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spyglass.v1.image_pb2 import Image, RawImage
from spyglass.v1.segment_pb2 import (
    MASK_FORMAT_PNG_INDEXED,
    MASK_FORMAT_PNG_OVERLAY,
    MASK_FORMAT_RAW,
    MASK_SIZE_AS_IMAGE,
    SegmentRequest,
)
from spyglass.v1.vision_pb2_grpc import VisionStub
from spyglass_server.masks.encoding import MaskStyle


def test_the_default_is_an_indexed_png_of_the_size_of_the_image(
    segmenting: VisionStub, color_image: Callable[..., bytes]
) -> None:
    request = SegmentRequest(image=Image(encoded=color_image("red", (50, 40))))
    default = segmenting.Segment(request).mask
    assert (default.format, default.width, default.height) == (MASK_FORMAT_PNG_INDEXED, 50, 40)
    assert default.data.startswith(b"\x89PNG")

    request.format, request.size = MASK_FORMAT_PNG_INDEXED, MASK_SIZE_AS_IMAGE
    assert segmenting.Segment(request).mask == default


@pytest.mark.parametrize(("chosen", "side"), [(MASK_FORMAT_RAW, 2001), (MASK_FORMAT_PNG_OVERLAY, 1300)])
def test_more_than_4_mb_must_be_requested_by_name(
    segmenting: VisionStub, refused: Callable[..., Any], chosen: Any, side: int
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    image = Image(raw=RawImage(height=side, width=side, channels=3, data=noise.tobytes()))
    request = SegmentRequest(image=image, format=chosen)
    found = refused(lambda: segmenting.Segment(request))
    assert (found.code.name, found.reason, found.fields) == ("OUT_OF_RANGE", "MASK_TOO_LARGE", ["size"])
    assert "more than 4,000,000 (state `format` and `size`" in found.message

    request.size = MaskStyle.from_request(request).size
    assert segmenting.Segment(request).ByteSize() > 4_000_000
