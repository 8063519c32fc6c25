"""Index and deadline of each request of a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass_server.engine.models.model import Model

PATIENCE = 30
LARGEST = 2**64 - 1


@pytest.fixture
def request_for(color_image: Callable[..., bytes]) -> Callable[..., ClassifyRequest]:
    return lambda color, **fields: ClassifyRequest(image=Image(encoded=color_image(color)), **fields)


def test_each_response_has_the_index_of_its_request(
    server: Any, request_for: Callable[..., ClassifyRequest]
) -> None:
    colors = {index: color for index, color in enumerate(["red", "green", "blue"] * 5)} | {LARGEST: "blue"}
    requests = [request_for(color, index=index, id="same") for index, color in colors.items()]
    requests.append(ClassifyRequest(index=77, image=Image(encoded=b"text")))

    replies = list(server.vision.ClassifyStream(iter(requests), timeout=PATIENCE))

    assert {reply.index: reply.classes[0].name for reply in replies if reply.classes} == colors
    assert [reply.index for reply in replies if reply.HasField("error")] == [77]
    assert len(replies) == len(requests)


def test_a_single_response_has_the_index_of_its_request(
    server: Any, request_for: Callable[..., ClassifyRequest]
) -> None:
    assert server.vision.Classify(request_for("red", index=5), timeout=PATIENCE).index == 5


def test_a_late_request_is_dropped_and_the_stream_goes_on(
    run_server: Callable[..., Any],
    network: Any,
    open_network: Callable[[Path], Model],
    request_for: Callable[..., ClassifyRequest],
    refusal_in: Callable[..., Any],
) -> None:
    running = run_server(open_network, concurrency=1)
    network.close_gate()
    late_is_dropped = Event()

    def requests() -> Iterator[ClassifyRequest]:
        yield request_for("red", index=1)
        # The only worker waits at the gate for the first image.
        assert network.entered.acquire(timeout=PATIENCE)
        yield request_for("green", index=2, timeout=Duration(nanos=50_000_000))
        assert late_is_dropped.wait(PATIENCE)
        yield request_for("blue", index=3, timeout=Duration(seconds=PATIENCE))

    replies = running.vision.ClassifyStream(requests(), timeout=PATIENCE)
    late = next(replies)
    assert late.index == 2
    found = refusal_in(late.error)
    assert (found.code.name, found.reason) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    late_is_dropped.set()
    network.gate.set()
    assert {reply.index: reply.classes[0].name for reply in replies} == {1: "red", 3: "blue"}
    # The late image never reached the network.
    assert sum(network.batches) == 2


def test_a_single_request_may_have_a_timeout_too(
    run_server: Callable[..., Any],
    network: Any,
    open_network: Callable[[Path], Model],
    request_for: Callable[..., ClassifyRequest],
    refused: Callable[..., Any],
) -> None:
    running = run_server(open_network)
    network.close_gate()
    late = request_for("red", timeout=Duration(nanos=50_000_000))

    found = refused(lambda: running.vision.Classify(late, timeout=PATIENCE))

    assert found.code.name == "DEADLINE_EXCEEDED"


def test_an_invalid_timeout_fails_only_its_own_request(
    server: Any, request_for: Callable[..., ClassifyRequest], refusal_in: Callable[..., Any]
) -> None:
    requests = [request_for("red", index=1, timeout=Duration(seconds=-1)), request_for("blue", index=2)]
    replies = {reply.index: reply for reply in server.vision.ClassifyStream(iter(requests), timeout=PATIENCE)}
    found = refusal_in(replies[1].error)
    assert (found.code.name, found.reason, found.fields) == (
        "INVALID_ARGUMENT",
        "TIMEOUT_INVALID",
        ["timeout"],
    )
    assert replies[2].classes[0].name == "blue"
