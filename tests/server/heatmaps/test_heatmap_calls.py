"""The Heatmap calls of a real server, with a network whose heatmaps are the colours of its input."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from numpy.typing import NDArray
from PIL import Image as PillowImage

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.heatmap_pb2 import (
    HEATMAP_FORMAT_FLOAT32,
    HEATMAP_FORMAT_PNG_GRAY,
    HEATMAP_FORMAT_PNG_OVERLAY,
    MAP_SIZE_AS_FEATURE_MAP,
    MAP_SIZE_AS_IMAGE,
    MAP_SIZE_AS_MODEL,
    HeatmapData,
    HeatmapRequest,
    HeatmapTarget,
)
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import ModelRef
from spyglass.v1.vision_pb2_grpc import VisionStub
from spyglass_contract.heatmaps.overlay import draw_overlay

RED, GREEN, BLUE = 0, 1, 2


@pytest.fixture
def vision(explaining_server: str) -> Iterator[VisionStub]:
    with grpc.insecure_channel(explaining_server) as channel:
        yield VisionStub(channel)


@pytest.fixture
def image(gradient_image: PillowImage.Image, encode: Callable[..., bytes]) -> Image:
    return Image(encoded=encode(gradient_image))


def floats(heatmap: HeatmapData) -> NDArray[np.float32]:
    return np.frombuffer(heatmap.data, "<f4").reshape(heatmap.height, heatmap.width)


def png(heatmap: HeatmapData) -> PillowImage.Image:
    image = PillowImage.open(io.BytesIO(heatmap.data))
    assert image.format == "PNG"
    assert image.size == (heatmap.width, heatmap.height)
    return image


def refusal(call: Callable[[], object]) -> tuple[str, str, str]:
    """Code, reason and message of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    status = rpc_status.from_call(caught.value)
    info = ErrorInfo()
    status.details[0].Unpack(info)
    return caught.value.code().name, info.reason, status.message


def test_a_heatmap_is_high_where_the_image_has_the_colour_of_the_class(
    vision: VisionStub, image: Image
) -> None:
    reply = vision.Heatmap(
        HeatmapRequest(id="7", image=image, class_name="red", size=MAP_SIZE_AS_FEATURE_MAP)
    )
    heatmap = floats(reply.heatmap)
    assert reply.id == "7"
    assert heatmap.shape == (8, 8)
    assert heatmap.max() == pytest.approx(1)
    # Red grows to the right, and nothing changes downwards.
    assert (np.diff(heatmap, axis=1) > 0).all()
    assert np.ptp(heatmap, axis=0).max() < 0.02
    assert (reply.target.index, reply.target.name) == (RED, "red")
    assert reply.layer == "floats"
    assert not reply.heatmap.all_zero


def test_a_heatmap_response_has_the_classes_of_classify(vision: VisionStub, image: Image) -> None:
    heatmap = vision.Heatmap(HeatmapRequest(image=image, top_k=2))
    classes = vision.Classify(ClassifyRequest(image=image, top_k=2))
    assert list(heatmap.classes) == list(classes.classes)
    assert heatmap.served_by == classes.served_by
    assert heatmap.timing.batch_size == 1
    assert heatmap.timing.inference_ms > 0


def test_without_a_target_the_predicted_class_is_explained(
    vision: VisionStub, color_image: Callable[..., bytes]
) -> None:
    for index, color in enumerate(("red", "green", "blue")):
        reply = vision.Heatmap(HeatmapRequest(image=Image(encoded=color_image(color))))
        assert reply.target == reply.classes[0]
        assert reply.target.index == index
        assert (floats(reply.heatmap) == 1).all()


@pytest.mark.parametrize(
    ("size", "width", "height"),
    [(MAP_SIZE_AS_IMAGE, 40, 20), (MAP_SIZE_AS_MODEL, 8, 8), (MAP_SIZE_AS_FEATURE_MAP, 8, 8)],
)
def test_a_heatmap_has_the_requested_size(
    vision: VisionStub, image: Image, size: Any, width: int, height: int
) -> None:
    heatmap = vision.Heatmap(HeatmapRequest(image=image, class_index=GREEN, size=size)).heatmap
    assert floats(heatmap).shape == (height, width)


def test_a_grey_png_is_the_heatmap_in_256_levels(vision: VisionStub, image: Image) -> None:
    request = HeatmapRequest(image=image, class_index=RED, size=MAP_SIZE_AS_IMAGE)
    numbers = floats(vision.Heatmap(request).heatmap)
    request.format = HEATMAP_FORMAT_PNG_GRAY
    grey = png(vision.Heatmap(request).heatmap)
    assert grey.mode == "L"
    np.testing.assert_array_equal(np.asarray(grey), np.rint(numbers * 255))


def test_an_overlay_of_size_image_is_drawn_over_the_upright_image(
    vision: VisionStub, gradient_image: PillowImage.Image, encode: Callable[..., bytes]
) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    turned = encode(gradient_image.transpose(PillowImage.Transpose.ROTATE_90), exif=exif)
    request = HeatmapRequest(image=Image(encoded=turned), class_index=RED, size=MAP_SIZE_AS_IMAGE)
    numbers = floats(vision.Heatmap(request).heatmap)
    request.format = HEATMAP_FORMAT_PNG_OVERLAY
    overlay = png(vision.Heatmap(request).heatmap)
    expected = draw_overlay(gradient_image, numbers)
    np.testing.assert_array_equal(np.asarray(overlay), np.asarray(expected))


def test_an_overlay_of_size_model_is_drawn_over_the_input_of_the_model(
    vision: VisionStub, image: Image
) -> None:
    request = HeatmapRequest(
        image=image, class_index=RED, size=MAP_SIZE_AS_MODEL, format=HEATMAP_FORMAT_PNG_OVERLAY
    )
    assert png(vision.Heatmap(request).heatmap).size == (8, 8)


def test_the_frame_is_the_part_of_the_image_that_the_model_received(vision: VisionStub, image: Image) -> None:
    frame = vision.Heatmap(HeatmapRequest(image=image)).frame
    assert (frame.image_width, frame.image_height) == (40, 20)
    assert (frame.left, frame.top, frame.right, frame.bottom) == (0, 0, 40, 20)


def test_several_classes_are_explained_by_one_call(vision: VisionStub, image: Image) -> None:
    further = [HeatmapTarget(class_name="green"), HeatmapTarget(class_index=BLUE)]
    reply = vision.Heatmap(HeatmapRequest(image=image, class_index=RED, further=further))
    together = [reply, *reply.further]
    for index, explained in enumerate(together):
        alone = vision.Heatmap(HeatmapRequest(image=image, class_index=index))
        assert explained.target == alone.target
        np.testing.assert_allclose(floats(explained.heatmap), floats(alone.heatmap), atol=1e-6)


def test_a_class_without_any_evidence_has_a_heatmap_of_zeros_and_a_flag(
    vision: VisionStub, image: Image
) -> None:
    heatmap = vision.Heatmap(HeatmapRequest(image=image, class_name="blue")).heatmap
    assert heatmap.all_zero
    assert not floats(heatmap).any()


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"class_index": 3}, "INVALID_ARGUMENT", "CLASS_UNKNOWN"),
        ({"class_name": "gren"}, "INVALID_ARGUMENT", "CLASS_UNKNOWN"),
        ({"class_name": ""}, "INVALID_ARGUMENT", "CLASS_UNKNOWN"),
        ({"further": [HeatmapTarget()]}, "INVALID_ARGUMENT", "CLASS_MISSING"),
        ({"further": [HeatmapTarget(class_index=0)] * 33}, "OUT_OF_RANGE", "TOO_MANY_CLASSES"),
        ({"top_k": 4}, "INVALID_ARGUMENT", "TOP_K_INVALID"),
        ({"format": 9}, "INVALID_ARGUMENT", "INVALID_INPUT"),
        ({"size": 9}, "INVALID_ARGUMENT", "INVALID_INPUT"),
        (
            {"format": HEATMAP_FORMAT_PNG_OVERLAY, "size": MAP_SIZE_AS_FEATURE_MAP},
            "INVALID_ARGUMENT",
            "INVALID_INPUT",
        ),
        ({"model": ModelRef(name="none")}, "NOT_FOUND", "MODEL_NOT_FOUND"),
        ({"image": Image(encoded=b"no image")}, "INVALID_ARGUMENT", "IMAGE_UNRECOGNISED"),
    ],
)
def test_a_request_that_cannot_be_explained_is_refused(
    vision: VisionStub, image: Image, fields: dict[str, Any], code: str, reason: str
) -> None:
    request = HeatmapRequest(**{"image": image, **fields})
    assert refusal(lambda: vision.Heatmap(request))[:2] == (code, reason)


def test_the_error_of_a_misspelt_class_name_suggests_the_right_one(vision: VisionStub, image: Image) -> None:
    *_, message = refusal(lambda: vision.Heatmap(HeatmapRequest(image=image, class_name="gren")))
    assert "'green'" in message


def test_a_name_that_two_classes_have_is_refused_with_their_indices(vision: VisionStub, image: Image) -> None:
    request = HeatmapRequest(image=image, model=ModelRef(name="twins"), class_name="red")
    code, reason, message = refusal(lambda: vision.Heatmap(request))
    assert (code, reason) == ("INVALID_ARGUMENT", "CLASS_AMBIGUOUS")
    assert "0, 1" in message


def test_the_error_of_a_model_without_heatmaps_says_how_to_attach_one(
    vision: VisionStub, image: Image
) -> None:
    request = HeatmapRequest(image=image, model=ModelRef(name="plain"))
    code, reason, message = refusal(lambda: vision.Heatmap(request))
    assert (code, reason) == ("FAILED_PRECONDITION", "HEATMAP_MISSING")
    assert "spyglass adopt" in message


def test_a_heatmap_above_the_limit_is_refused_with_advice_and_a_smaller_one_is_sent(
    vision: VisionStub, color_image: Callable[..., bytes]
) -> None:
    large = Image(encoded=color_image("red", (2049, 1024)))
    request = HeatmapRequest(image=large, format=HEATMAP_FORMAT_FLOAT32, size=MAP_SIZE_AS_IMAGE)
    code, reason, message = refusal(lambda: vision.Heatmap(request))
    assert (code, reason) == ("OUT_OF_RANGE", "MAP_TOO_LARGE")
    assert "AS_FEATURE_MAP" in message
    request.format = HEATMAP_FORMAT_PNG_GRAY
    assert png(vision.Heatmap(request).heatmap).size == (2049, 1024)
    request.format, request.size = HEATMAP_FORMAT_FLOAT32, MAP_SIZE_AS_FEATURE_MAP
    assert vision.Heatmap(request).frame.image_width == 2049


def test_the_limit_includes_the_heatmaps_of_every_class(
    vision: VisionStub, color_image: Callable[..., bytes]
) -> None:
    target = HeatmapTarget(class_index=RED)
    image = Image(encoded=color_image("red", (1100, 1000)))
    request = HeatmapRequest(
        image=image, further=[target] * 3, format=HEATMAP_FORMAT_FLOAT32, size=MAP_SIZE_AS_IMAGE
    )
    assert refusal(lambda: vision.Heatmap(request))[1] == "MAP_TOO_LARGE"


def test_a_stream_has_a_response_for_each_image_and_continues_after_a_failure(
    vision: VisionStub, image: Image
) -> None:
    requests = [
        HeatmapRequest(id="good", image=image),
        HeatmapRequest(id="bad", image=Image(encoded=b"text")),
        HeatmapRequest(id="unknown", image=image, class_index=99),
        HeatmapRequest(id="last", image=image, format=HEATMAP_FORMAT_PNG_OVERLAY),
    ]
    replies = {reply.id: reply for reply in vision.HeatmapStream(iter(requests))}
    assert replies["good"].heatmap.data
    assert replies["last"].heatmap.format == HEATMAP_FORMAT_PNG_OVERLAY
    for failed in ("bad", "unknown"):
        assert replies[failed].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
        assert not replies[failed].HasField("heatmap")
