"""Requests that the Segment call refuses, and their errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.heatmap_pb2 import HeatmapRequest
from spyglass.v1.image_pb2 import Image, RawImage
from spyglass.v1.model_pb2 import ModelRef
from spyglass.v1.segment_pb2 import (
    MASK_FORMAT_PNG_OVERLAY,
    MASK_FORMAT_RAW,
    MASK_FORMAT_RLE_COMPRESSED,
    MASK_SIZE_AS_MODEL,
    Refinement,
    SegmentRequest,
)
from spyglass.v1.vision_pb2_grpc import VisionStub

RED = 1

Refused = Callable[[Callable[[], object]], Any]


@pytest.fixture
def image(color_image: Callable[..., bytes]) -> Image:
    return Image(encoded=color_image("red"))


@pytest.mark.parametrize(
    ("fields", "code", "reason", "field"),
    [
        ({"format": 9}, "INVALID_ARGUMENT", "INVALID_INPUT", "format"),
        ({"size": 9}, "INVALID_ARGUMENT", "INVALID_INPUT", "size"),
        ({"soft_class_index": 4}, "INVALID_ARGUMENT", "CLASS_UNKNOWN", "soft_class_index"),
        ({"soft_class_name": "rde"}, "INVALID_ARGUMENT", "CLASS_UNKNOWN", "soft_class_name"),
        ({"soft_class_name": ""}, "INVALID_ARGUMENT", "CLASS_UNKNOWN", "soft_class_name"),
        ({"refine": [Refinement(fill_holes=True)]}, "INVALID_ARGUMENT", "CLASS_MISSING", "refine"),
        ({"refine": [Refinement(class_index=4)]}, "INVALID_ARGUMENT", "CLASS_UNKNOWN", "refine.class_index"),
        ({"refine": [Refinement(class_name="x")]}, "INVALID_ARGUMENT", "CLASS_UNKNOWN", "refine.class_name"),
        ({"refine": [Refinement(class_index=0)] * 33}, "OUT_OF_RANGE", "TOO_MANY_REFINEMENTS", "refine"),
        ({"model": ModelRef(name="none")}, "NOT_FOUND", "MODEL_NOT_FOUND", "model.name"),
        ({"model": ModelRef(name="colors")}, "FAILED_PRECONDITION", "MODEL_TASK_MISMATCH", "model.name"),
        (
            {"model": ModelRef(name="twins"), "soft_class_name": "red"},
            "INVALID_ARGUMENT",
            "CLASS_AMBIGUOUS",
            "soft_class_name",
        ),
        ({"image": Image()}, "INVALID_ARGUMENT", "IMAGE_MISSING", "image"),
        ({"image": Image(encoded=b"no image")}, "INVALID_ARGUMENT", "IMAGE_UNRECOGNISED", "image"),
        (
            {"image": Image(raw=RawImage(height=4, width=4, channels=3, data=b"few"))},
            "INVALID_ARGUMENT",
            "IMAGE_SHAPE",
            "image.raw",
        ),
    ],
)
def test_an_invalid_segment_request_is_refused(
    segmenting: VisionStub,
    refused: Refused,
    image: Image,
    fields: dict[str, Any],
    code: str,
    reason: str,
    field: str,
) -> None:
    request = SegmentRequest(**{"image": image, **fields})
    found = refused(lambda: segmenting.Segment(request))
    assert (found.code.name, found.reason, found.fields) == (code, reason, [field])


def test_decompression_bombs_are_refused(segmenting: VisionStub, refused: Refused, bomb: bytes) -> None:
    request = SegmentRequest(image=Image(encoded=bomb))
    assert refused(lambda: segmenting.Segment(request)).code.name == "OUT_OF_RANGE"


def test_a_segmentation_model_refuses_classify_and_heatmap(
    segmenting: VisionStub, refused: Refused, image: Image
) -> None:
    model = ModelRef(name="pad")
    for call in (
        lambda: segmenting.Classify(ClassifyRequest(image=image, model=model)),
        lambda: segmenting.Heatmap(HeatmapRequest(image=image, model=model)),
    ):
        found = refused(call)
        assert (found.code.name, found.reason) == ("FAILED_PRECONDITION", "MODEL_TASK_MISMATCH")


def test_without_a_segmentation_model_a_request_is_not_found(
    explaining_server: str, refused: Refused, image: Image
) -> None:
    with grpc.insecure_channel(explaining_server) as channel:
        found = refused(lambda: VisionStub(channel).Segment(SegmentRequest(image=image)))
    assert (found.code.name, found.reason) == ("NOT_FOUND", "NO_DEFAULT_MODEL")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "size", "fits"),
    [
        ({"format": MASK_FORMAT_PNG_OVERLAY}, (4096, 3276), False),
        ({"format": MASK_FORMAT_PNG_OVERLAY}, (4096, 3072), True),
        ({"format": MASK_FORMAT_RAW}, (4097, 4096), False),
        ({"soft_class_index": RED}, (4097, 4096), True),
        ({"format": MASK_FORMAT_RAW, "size": MASK_SIZE_AS_MODEL}, (4097, 4096), True),
        ({"format": MASK_FORMAT_RLE_COMPRESSED}, (4097, 4096), True),
        ({}, (4097, 4096), True),
    ],
)
def test_only_formats_that_are_large_on_the_wire_have_a_limit(
    segmenting: VisionStub,
    refused: Refused,
    color_image: Callable[..., bytes],
    fields: dict[str, Any],
    size: Any,
    fits: bool,
) -> None:
    request = SegmentRequest(image=Image(encoded=color_image("red", size)), **fields)
    if fits:
        reply = segmenting.Segment(request)
        assert (reply.frame.image_width, reply.frame.image_height) == size
        assert reply.ByteSize() < 200_000
    else:
        found = refused(lambda: segmenting.Segment(request))
        assert (found.code.name, found.reason, found.fields) == ("OUT_OF_RANGE", "MASK_TOO_LARGE", ["size"])
        assert "request AS_MODEL, PNG_INDEXED or RLE" in found.message


@pytest.mark.slow
def test_an_overlay_that_compresses_badly_is_refused_after_it_is_drawn(
    segmenting: VisionStub, refused: Refused
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2900, 2900, 3), np.uint8)
    raw = RawImage(height=2900, width=2900, channels=3, data=noise.tobytes())
    request = SegmentRequest(image=Image(raw=raw), format=MASK_FORMAT_PNG_OVERLAY)
    found = refused(lambda: segmenting.Segment(request))
    assert (found.code.name, found.reason, found.fields) == ("OUT_OF_RANGE", "MASK_TOO_LARGE", ["size"])
