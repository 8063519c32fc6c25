"""Requests that are invalid, too large, compressed, or more bytes than the server may hold."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.heatmap_pb2 import HeatmapRequest, HeatmapTarget
from spyglass.v1.image_pb2 import Image, RawImage
from spyglass.v1.model_pb2 import GetModelRequest, ListModelsRequest, ModelRef
from spyglass_server.engine.models.model import Model
from spyglass_server.interceptors.parsing import MAX_BYTES_WITHOUT_IMAGE

Code = grpc.StatusCode
PATIENCE = 30
NO_MESSAGE = b"\xff\xff\xff"
VISION = "/spyglass.v1.Vision/"
UNARY = [f"{VISION}{name}" for name in ("Classify", "Segment", "Heatmap", "ListModels", "GetModel")] + [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/List",
]
STREAMS = [f"{VISION}{name}Stream" for name in ("Classify", "Segment", "Heatmap")] + [
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
]


@pytest.mark.parametrize("method", UNARY)
def test_bytes_that_are_not_a_request_are_an_invalid_argument(
    server: Any, refused: Callable[..., Any], caplog: pytest.LogCaptureFixture, method: str
) -> None:
    with caplog.at_level(logging.ERROR):
        refusal = refused(lambda: server.channel.unary_unary(method)(NO_MESSAGE, timeout=PATIENCE))

    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "MESSAGE_INVALID")
    assert not caplog.records


def test_a_watch_with_invalid_bytes_is_an_invalid_argument(server: Any, refused: Callable[..., Any]) -> None:
    watch = server.channel.unary_stream("/grpc.health.v1.Health/Watch")

    assert refused(lambda: list(watch(NO_MESSAGE, timeout=PATIENCE))).reason == "MESSAGE_INVALID"


@pytest.mark.slow
@pytest.mark.parametrize("method", STREAMS)
def test_streams_of_invalid_bytes_end_and_free_their_places(
    run_server: Callable[..., Any], refused: Callable[..., Any], method: str
) -> None:
    server = run_server(max_streams=2)
    stream = server.channel.stream_stream(method)

    for _ in range(10):
        refusal = refused(lambda: list(stream(iter([NO_MESSAGE]), timeout=PATIENCE)))
        assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "MESSAGE_INVALID")

    server.server.stop(grace=PATIENCE)
    assert len(server.server._limits.streams) == 0


def test_images_before_invalid_bytes_get_responses(server: Any, color_image: Callable[..., bytes]) -> None:
    request = ClassifyRequest(image=Image(encoded=color_image("red"))).SerializeToString()
    stream = server.channel.stream_stream(f"{VISION}ClassifyStream")(iter([request, request, NO_MESSAGE]))

    assert next(stream)
    assert next(stream)
    with pytest.raises(grpc.RpcError) as raised:
        next(stream)
    assert raised.value.code() is Code.INVALID_ARGUMENT


def test_a_call_without_a_request_is_an_invalid_argument(server: Any, refused: Callable[..., Any]) -> None:
    classify = server.channel.stream_unary(f"{VISION}Classify")

    assert refused(lambda: classify(iter([]), timeout=PATIENCE)).reason == "MESSAGE_MISSING"


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("ListModels", b"\x0a\x00" * MAX_BYTES_WITHOUT_IMAGE),
        ("GetModel", GetModelRequest(model=ModelRef(name="x" * (MAX_BYTES_WITHOUT_IMAGE + 1)))),
        ("Classify", ClassifyRequest(id="x" * (MAX_BYTES_WITHOUT_IMAGE + 1))),
        ("Classify", ClassifyRequest(model=ModelRef(label="x" * (MAX_BYTES_WITHOUT_IMAGE + 1)))),
        ("Heatmap", HeatmapRequest(class_name="x" * (MAX_BYTES_WITHOUT_IMAGE + 1))),
        ("Heatmap", HeatmapRequest(further=[HeatmapTarget()] * MAX_BYTES_WITHOUT_IMAGE)),
        ("Segment", b"\x32\x00" * MAX_BYTES_WITHOUT_IMAGE),
        # Empty images, one after the other, and unknown fields inside of an image.
        ("Classify", b"\x12\x00" * MAX_BYTES_WITHOUT_IMAGE),
        ("Classify", b"\x12\x80\x80\x10" + b"\x7a\x00" * 131_072),
    ],
    ids=["unknown", "model", "id", "label", "class", "further", "refine", "images", "inside"],
)
def test_a_request_without_its_image_must_be_small(
    server: Any, refused: Callable[..., Any], method: str, request_: Any
) -> None:
    data = request_ if isinstance(request_, bytes) else request_.SerializeToString()

    refusal = refused(lambda: server.channel.unary_unary(VISION + method)(data, timeout=PATIENCE))

    assert (refusal.code, refusal.reason) == (Code.OUT_OF_RANGE, "REQUEST_TOO_LARGE")


def test_an_image_may_be_large_as_a_file_or_as_pixels(server: Any, color_image: Callable[..., bytes]) -> None:
    raw = RawImage(height=1000, width=1000, channels=3, data=bytes(3_000_000))

    assert server.vision.Classify(ClassifyRequest(image=Image(raw=raw)), timeout=PATIENCE).classes
    large = color_image("red", (900, 900)) + os.urandom(1_000_000)
    reply = server.vision.Classify(ClassifyRequest(image=Image(encoded=large)), timeout=PATIENCE)
    assert reply.classes[0].name == "red"


def test_an_id_is_bounded(
    server: Any, refused: Callable[..., Any], color_image: Callable[..., bytes]
) -> None:
    image = Image(encoded=color_image("red"))

    assert len(server.vision.Classify(ClassifyRequest(id="é" * 1024, image=image)).id) == 1024
    refusal = refused(lambda: server.vision.Classify(ClassifyRequest(id="é" * 1025, image=image)))
    assert (refusal.code, refusal.reason, refusal.fields) == (Code.INVALID_ARGUMENT, "ID_TOO_LONG", ["id"])


def test_a_long_name_is_quoted_in_part(
    server: Any, refused: Callable[..., Any], color_image: Callable[..., bytes]
) -> None:
    image = Image(encoded=color_image("red"))
    requests = [
        lambda: server.vision.Classify(ClassifyRequest(image=image, model=ModelRef(name="x" * 100_000))),
        lambda: server.channel.unary_unary("/grpc.health.v1.Health/Check")(b"\x0a\x90\x4e" + b"x" * 10_000),
    ]

    for call in requests:
        message = refused(call).message
        assert message.count("x") <= 101, message
        assert "x" * 100 in message


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_compressed_request_is_refused_by_default(
    run_server: Callable[..., Any], color_image: Callable[..., bytes], compression: grpc.Compression
) -> None:
    raw = RawImage(height=1000, width=1000, channels=3, data=bytes(3_000_000))
    request = ClassifyRequest(image=Image(raw=raw))
    server = run_server()

    with pytest.raises(grpc.RpcError) as raised:
        server.vision.Classify(request, compression=compression, timeout=PATIENCE)
    allowing = run_server(compressed_requests=True)
    reply = allowing.vision.Classify(request, compression=compression, timeout=PATIENCE)

    assert raised.value.code() is Code.UNIMPLEMENTED
    assert reply.classes


def test_bytes_in_flight_are_bounded_and_given_back(
    run_server: Callable[..., Any],
    open_network: Callable[[Path], Model],
    network: Any,
    eventually: Callable[..., None],
) -> None:
    server = run_server(open_network, max_bytes_in_flight=10_000_000, max_image_bytes=2_000_000)
    network.close_gate()
    raw = RawImage(height=800, width=800, channels=3, data=bytes(800 * 800 * 3))
    request = ClassifyRequest(image=Image(raw=raw))
    budget = server.server._limits.bytes_in_flight

    calls = [server.vision.Classify.future(request, timeout=PATIENCE) for _ in range(20)]
    # Calls that do not fit wait unread; the server refuses them when they have waited for too long.
    eventually(lambda: budget.held > 0 and any(call.done() for call in calls))
    held = budget.held
    network.gate.set()
    codes = [call.code() for call in calls]

    assert held <= 10_000_000
    assert set(codes) == {Code.OK, Code.RESOURCE_EXHAUSTED}
    eventually(lambda: budget.held == 0)


def test_a_stream_gives_back_the_bytes_that_it_holds(
    run_server: Callable[..., Any], color_image: Callable[..., bytes], eventually: Callable[..., None]
) -> None:
    server = run_server(max_bytes_in_flight=1)
    good = ClassifyRequest(image=Image(encoded=color_image("red")))

    replies = list(server.vision.ClassifyStream(iter([good, ClassifyRequest()] * 20), timeout=PATIENCE))

    assert len(replies) == 40
    eventually(lambda: server.server._limits.bytes_in_flight.held == 0)


def test_reflection_of_a_long_name_gets_a_response(server: Any) -> None:
    from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

    request = ServerReflectionRequest(file_containing_symbol="x" * 100_000)
    (reply,) = ServerReflectionStub(server.channel).ServerReflectionInfo(iter([request]), timeout=PATIENCE)

    assert reply.error_response.error_code == Code.NOT_FOUND.value[0]
    assert len(reply.error_response.error_message) < 1000


def test_models_are_listed_if_the_request_has_unknown_fields(server: Any) -> None:
    # A later version of the client may send more.
    data = ListModelsRequest().SerializeToString() + b"\xfa\x3f\x03abc"

    assert server.channel.unary_unary(f"{VISION}ListModels")(data, timeout=PATIENCE)
