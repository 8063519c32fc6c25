"""The Segment calls of a real server, with networks that classify each pixel by its colour."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from pycocotools import mask as coco

from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import ModelRef
from spyglass.v1.segment_pb2 import (
    MASK_FORMAT_PNG_INDEXED,
    MASK_FORMAT_PNG_OVERLAY,
    MASK_FORMAT_RAW,
    MASK_FORMAT_RLE,
    MASK_FORMAT_RLE_COMPRESSED,
    MASK_SIZE_AS_IMAGE,
    MASK_SIZE_AS_MODEL,
    Refinement,
    SegmentRequest,
    SegmentResponse,
)
from spyglass.v1.vision_pb2_grpc import VisionStub
from spyglass_contract.masks.colors import class_colors, hex_color
from spyglass_contract.masks.drawing import draw_mask
from spyglass_contract.masks.palette_png import decode_mask

# pycocotools 2.0.11 does not follow numpy's newest rules for arrays that share memory.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CLASSES = ("background", "red", "green", "blue")
RED, BLUE = 1, 3
SIZE, BOX = (64, 48), (20, 10, 40, 30)

# Of the network's input.
COLUMNS, ROWS = 32, 24

Square = Callable[[tuple[int, int], tuple[int, int, int, int]], PillowImage.Image]
Encode = Callable[..., bytes]


@pytest.fixture
def image(square_image: Square, encode: Encode) -> Image:
    return Image(encoded=encode(square_image(SIZE, BOX)))


def raw(reply: SegmentResponse) -> NDArray[np.uint8]:
    return np.frombuffer(reply.mask.data, np.uint8).reshape(reply.mask.height, reply.mask.width)


def test_a_mask_has_the_id_of_its_request(segmenting: VisionStub, image: Image) -> None:
    reply = segmenting.Segment(SegmentRequest(id="7", image=image))
    assert reply.id == "7"
    assert reply.mask.format == MASK_FORMAT_PNG_INDEXED
    assert (reply.mask.width, reply.mask.height) == SIZE


def test_every_class_is_listed_with_its_pixels(segmenting: VisionStub, image: Image) -> None:
    reply = segmenting.Segment(SegmentRequest(image=image))
    mask = decode_mask(reply.mask.data)
    colors = class_colors(CLASSES)
    assert [(entry.index, entry.name) for entry in reply.classes] == list(enumerate(CLASSES))
    for entry in reply.classes:
        assert entry.pixels == (mask == entry.index).sum()
        assert entry.fraction == pytest.approx(entry.pixels / mask.size)
        assert entry.color == hex_color(colors[entry.index])
        assert (0.9 < entry.mean_score <= 1) if entry.pixels else entry.mean_score == 0
    assert sum(entry.fraction for entry in reply.classes) == pytest.approx(1)


def test_the_response_has_the_model_the_frame_and_the_timing(segmenting: VisionStub, image: Image) -> None:
    reply = segmenting.Segment(SegmentRequest(image=image))
    frame = reply.frame
    assert (reply.served_by.model, reply.served_by.version) == ("stretch", 1)
    assert len(reply.served_by.sha256) == 64
    assert (frame.image_width, frame.image_height) == SIZE
    assert (frame.left, frame.top, frame.right, frame.bottom) == (0, 0, *SIZE)
    assert reply.timing.batch_size == 1
    assert min(reply.timing.decode_ms, reply.timing.inference_ms, reply.timing.encode_ms) > 0
    assert not reply.HasField("soft")


@pytest.mark.parametrize("size", [MASK_SIZE_AS_IMAGE, MASK_SIZE_AS_MODEL])
def test_every_format_holds_the_same_mask(segmenting: VisionStub, image: Image, size: Any) -> None:
    def segment(mask_format: Any) -> SegmentResponse:
        return segmenting.Segment(SegmentRequest(image=image, format=mask_format, size=size))

    plain = raw(segment(MASK_FORMAT_RAW))
    assert plain.shape == ((48, 64) if size == MASK_SIZE_AS_IMAGE else (ROWS, COLUMNS))
    np.testing.assert_array_equal(decode_mask(segment(MASK_FORMAT_PNG_INDEXED).mask.data), plain)
    runs, compressed = segment(MASK_FORMAT_RLE).mask, segment(MASK_FORMAT_RLE_COMPRESSED).mask
    assert not runs.data and not compressed.data
    for index in range(len(CLASSES)):
        assert runs.runs[index].class_index == compressed.runs[index].class_index == index
        coded = {"size": list(plain.shape), "counts": compressed.runs[index].compressed}
        np.testing.assert_array_equal(coco.decode(coded) > 0, plain == index)
        assert coco.area(coded) == sum(runs.runs[index].counts[1::2])
        assert sum(runs.runs[index].counts) == plain.size


def test_an_overlay_is_drawn_as_in_the_python_client(
    segmenting: VisionStub, square_image: Square, image: Image
) -> None:
    request = SegmentRequest(image=image, format=MASK_FORMAT_RAW)
    mask = raw(segmenting.Segment(request))
    request.format = MASK_FORMAT_PNG_OVERLAY
    overlay = PillowImage.open(io.BytesIO(segmenting.Segment(request).mask.data))
    expected = draw_mask(square_image(SIZE, BOX), mask, CLASSES, class_colors(CLASSES))
    np.testing.assert_array_equal(np.asarray(overlay), np.asarray(expected))


def test_an_overlay_of_size_model_has_the_size_of_the_networks_output(
    segmenting: VisionStub, image: Image
) -> None:
    request = SegmentRequest(
        image=image,
        model=ModelRef(name="coarse"),
        format=MASK_FORMAT_PNG_OVERLAY,
        size=MASK_SIZE_AS_MODEL,
    )
    overlay = PillowImage.open(io.BytesIO(segmenting.Segment(request).mask.data))
    assert overlay.size == (COLUMNS // 2, ROWS // 2)
    assert overlay.mode == "RGB"


@pytest.mark.parametrize("soft", [{"soft_class_index": RED}, {"soft_class_name": "red"}])
@pytest.mark.parametrize("size", [MASK_SIZE_AS_IMAGE, MASK_SIZE_AS_MODEL])
def test_a_probability_map_comes_with_the_mask(
    segmenting: VisionStub, image: Image, soft: dict[str, Any], size: Any
) -> None:
    reply = segmenting.Segment(SegmentRequest(image=image, size=size, **soft))
    levels = PillowImage.open(io.BytesIO(reply.soft.data))
    assert reply.soft.class_index == RED
    assert levels.mode == "L"
    assert levels.size == (reply.soft.width, reply.soft.height) == (reply.mask.width, reply.mask.height)
    sure = np.asarray(levels) > 128
    np.testing.assert_array_equal(sure, decode_mask(reply.mask.data) == RED)


@pytest.fixture
def two_rings(encode: Encode) -> Image:
    """A large red ring and a small one on blue, of the input's own size."""
    image = PillowImage.new("RGB", (COLUMNS, ROWS), (0, 0, 255))
    for color, box in (
        ((255, 0, 0), (2, 2, 18, 18)),
        ((0, 255, 0), (6, 6, 10, 10)),
        ((255, 0, 0), (22, 2, 28, 8)),
        ((0, 255, 0), (24, 4, 26, 6)),
    ):
        image.paste(color, box)
    return Image(encoded=encode(image))


@pytest.mark.parametrize(
    ("steps", "red", "green"),
    [
        ([], 16 * 16 - 16 + 36 - 4, 16 + 4),
        ([Refinement(class_name="red", largest_component=True)], 16 * 16 - 16, 16 + 4),
        ([Refinement(class_index=RED, fill_holes=True)], 16 * 16 + 36, 0),
        ([Refinement(class_index=RED, largest_component=True, fill_holes=True)], 16 * 16, 4),
        (
            [
                Refinement(class_index=RED, largest_component=True),
                Refinement(class_name="green", largest_component=True),
                Refinement(class_index=BLUE, fill_holes=True),
            ],
            0,
            0,
        ),
    ],
)
def test_refinements_are_applied_in_their_order(
    segmenting: VisionStub, two_rings: Image, steps: list[Refinement], red: int, green: int
) -> None:
    reply = segmenting.Segment(SegmentRequest(image=two_rings, refine=steps))
    assert [entry.pixels for entry in reply.classes[1:3]] == [red, green]
    assert sum(entry.pixels for entry in reply.classes) == COLUMNS * ROWS


def test_a_stream_has_a_response_for_each_image_and_continues_after_a_failure(
    segmenting: VisionStub, image: Image
) -> None:
    requests = [
        SegmentRequest(id="good", image=image),
        SegmentRequest(id="bad", image=Image(encoded=b"text")),
        SegmentRequest(id="unknown", image=image, soft_class_index=99),
        SegmentRequest(id="another task", image=image, model=ModelRef(name="colors")),
        SegmentRequest(id="last", image=image, format=MASK_FORMAT_RLE),
    ]
    replies = {reply.id: reply for reply in segmenting.SegmentStream(iter(requests))}
    assert set(replies) == {request.id for request in requests}
    assert replies["good"].mask.data
    assert len(replies["last"].mask.runs) == len(CLASSES)
    codes = {name: replies[name].error.code for name in ("bad", "unknown", "another task")}
    wrong, unfit = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION
    assert codes == {"bad": wrong.value[0], "unknown": wrong.value[0], "another task": unfit.value[0]}
    assert not any(replies[name].HasField("mask") for name in codes)
