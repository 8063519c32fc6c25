"""With a grpcio whose private names are other ones, calls wait for their messages on threads, and work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass_server.interceptors import grpcio_calls

PATIENCE = 30


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, run_server: Callable[..., Any]) -> Any:
    monkeypatch.setattr(grpcio_calls, "_NAMES", ("_a_name_that_grpcio_does_not_have",))
    return run_server(concurrency=2)


def test_a_call_a_stream_and_a_health_check_get_their_responses(
    server: Any, color_image: Callable[..., bytes]
) -> None:
    requests = [
        ClassifyRequest(id=color, image=Image(encoded=color_image(color))) for color in ("red", "blue")
    ]

    response = server.vision.Classify(requests[0], timeout=PATIENCE)
    streamed = list(server.vision.ClassifyStream(iter(requests * 10), timeout=PATIENCE))
    health = server.health.Check(HealthCheckRequest(), timeout=PATIENCE)

    assert response.classes[0].name == "red"
    assert sorted((each.id, each.classes[0].name) for each in streamed) == [
        *[("blue", "blue")] * 10,
        *[("red", "red")] * 10,
    ]
    assert health.status == HealthCheckResponse.SERVING


def test_bytes_that_are_not_a_request_are_rejected(server: Any) -> None:
    classify = server.channel.unary_unary("/spyglass.v1.Vision/Classify")
    with pytest.raises(grpc.RpcError) as raised:
        classify(b"\xff\xff\xff", timeout=PATIENCE)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_the_responses_of_a_stream_come_in_order_if_it_asks_for_that(
    server: Any, color_image: Callable[..., bytes]
) -> None:
    large, small = color_image("red", (1500, 1500)), color_image("blue")
    requests = [
        ClassifyRequest(index=index, image=Image(encoded=small if index % 4 else large))
        for index in range(40)
    ]
    requests[9].ClearField("image")

    streamed = server.vision.ClassifyStream(
        iter(requests), timeout=PATIENCE, metadata=[("x-ordered", "true")]
    )

    assert [(each.index, each.HasField("error")) for each in streamed] == [
        (index, index == 9) for index in range(40)
    ]
