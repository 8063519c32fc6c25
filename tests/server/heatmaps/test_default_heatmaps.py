"""Heatmap requests without a format or size, and the limit of their responses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from spyglass.v1.heatmap_pb2 import (
    HEATMAP_FORMAT_FLOAT32,
    HEATMAP_FORMAT_PNG_GRAY,
    HEATMAP_FORMAT_PNG_OVERLAY,
    MAP_SIZE_AS_FEATURE_MAP,
    MAP_SIZE_AS_IMAGE,
    HeatmapRequest,
)
from spyglass.v1.image_pb2 import Image, RawImage
from spyglass.v1.model_pb2 import COLOR_MODE_RGB, RESIZE_RULE_STRETCH, InputSpec
from spyglass.v1.vision_pb2_grpc import VisionStub
from spyglass_contract.errors import LimitExceeded
from spyglass_contract.images.header import Limits
from spyglass_contract.images.pixels import prepare
from spyglass_server.engine.canvas import Canvas
from spyglass_server.heatmaps.drawing import Drawing, MapDrawing

# What gRPC clients receive by default.
GRPC_DEFAULT = 4 * 1024 * 1024


@pytest.fixture
def vision(explaining_server: str) -> Iterator[VisionStub]:
    with grpc.insecure_channel(explaining_server, [("grpc.max_receive_message_length", -1)]) as channel:
        yield VisionStub(channel)


def noise(width: int, height: int) -> Image:
    data = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8).tobytes()
    return Image(raw=RawImage(height=height, width=width, channels=3, data=data))


def test_the_default_heatmap_is_the_feature_map_as_float32_with_its_frame(
    vision: VisionStub, color_image: Callable[..., bytes]
) -> None:
    image = Image(encoded=color_image("red", (6000, 4000)))
    reply = vision.Heatmap(HeatmapRequest(image=image))

    assert reply.heatmap.format == HEATMAP_FORMAT_FLOAT32
    assert (reply.heatmap.height, reply.heatmap.width, len(reply.heatmap.data)) == (8, 8, 4 * 8 * 8)
    frame = reply.frame
    assert (frame.image_width, frame.image_height) == (6000, 4000)
    assert (frame.left, frame.top, frame.right, frame.bottom) == (0, 0, 6000, 4000)
    assert reply.ByteSize() < 1000


def test_the_default_response_equals_that_of_a_request_with_both_fields(
    vision: VisionStub, color_image: Callable[..., bytes]
) -> None:
    request = HeatmapRequest(image=Image(encoded=color_image("red", (50, 40))))
    default = vision.Heatmap(request).heatmap
    request.format, request.size = HEATMAP_FORMAT_FLOAT32, MAP_SIZE_AS_FEATURE_MAP
    assert vision.Heatmap(request).heatmap == default


@pytest.mark.parametrize("chosen", [HEATMAP_FORMAT_PNG_GRAY, HEATMAP_FORMAT_PNG_OVERLAY])
def test_a_png_without_a_size_has_the_size_of_the_image(
    vision: VisionStub, color_image: Callable[..., bytes], chosen: Any
) -> None:
    image = Image(encoded=color_image("red", (50, 40)))
    heatmap = vision.Heatmap(HeatmapRequest(image=image, format=chosen)).heatmap
    assert (heatmap.format, heatmap.width, heatmap.height) == (chosen, 50, 40)


@pytest.mark.parametrize(
    "fields", [{"size": MAP_SIZE_AS_IMAGE}, {"format": HEATMAP_FORMAT_PNG_OVERLAY}], ids=["size", "format"]
)
def test_a_response_may_exceed_4_mb_if_the_request_sets_the_format_or_the_size(
    vision: VisionStub, fields: dict[str, Any]
) -> None:
    reply = vision.Heatmap(HeatmapRequest(image=noise(1300, 1200), **fields))
    assert reply.ByteSize() > GRPC_DEFAULT


@pytest.mark.parametrize(
    ("request_", "limit"),
    [
        (HeatmapRequest(), "4,000,000 (state `format` or `size` in the request to receive more)"),
        (HeatmapRequest(format=HEATMAP_FORMAT_FLOAT32), "16,777,216"),
        (HeatmapRequest(size=MAP_SIZE_AS_FEATURE_MAP), "16,777,216"),
    ],
    ids=["neither", "format", "size"],
)
def test_all_heatmaps_of_a_response_together_stay_within_the_limit(
    request_: HeatmapRequest, limit: str
) -> None:
    spec = InputSpec(height=8, width=8, color_mode=COLOR_MODE_RGB, resize=RESIZE_RULE_STRETCH)
    pixels = np.zeros((8, 8, 3), np.uint8)
    canvas = Canvas(pixels, prepare(pixels, spec), spec, Limits())
    drawing = MapDrawing(canvas, Drawing.from_request(request_))
    feature_map = np.ones((500, 500), np.float32)
    drawn = 0
    with pytest.raises(LimitExceeded) as refused:
        for _ in range(33):
            drawn += len(drawing.draw(feature_map).data)
    assert refused.value.reason == "MAP_TOO_LARGE"
    assert f"bytes, more than {limit};" in refused.value.message
    assert drawn == int(limit.split()[0].replace(",", "")) // feature_map.nbytes * feature_map.nbytes
