"""Many images over one call."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image, RawImage
from spyglass.v1.model_pb2 import ModelRef
from spyglass_server.engine.models.model import Model
from spyglass_server.logs import FIELDS

PATIENCE = 30
Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture
def request_for(color_image: Callable[..., bytes]) -> Callable[[str], ClassifyRequest]:
    """A request for an image in one colour, whose id is the colour."""
    return lambda color: ClassifyRequest(id=color, image=Image(encoded=color_image(color)))


def test_each_image_gets_its_own_response(server: Any, request_for: Callable[[str], ClassifyRequest]) -> None:
    colors = ["red", "green", "blue"] * 20

    replies = list(server.vision.ClassifyStream(map(request_for, colors), timeout=PATIENCE))

    assert sorted(reply.id for reply in replies) == sorted(colors)
    assert all(reply.classes[0].name == reply.id for reply in replies)


def test_an_empty_stream_has_no_responses(server: Any) -> None:
    assert list(server.vision.ClassifyStream(iter([]), timeout=PATIENCE)) == []


def test_one_bad_image_does_not_end_the_stream(
    server: Any,
    request_for: Callable[[str], ClassifyRequest],
    refusal_in: Callable[..., Any],
) -> None:
    requests = [
        request_for("red"),
        ClassifyRequest(id="text", image=Image(encoded=b"hello")),
        ClassifyRequest(id="nothing"),
        ClassifyRequest(id="greedy", image=request_for("red").image, top_k=9),
        request_for("blue"),
    ]

    call = server.vision.ClassifyStream(iter(requests), metadata=[("x-request-id", "order-7")])
    replies = {reply.id: reply for reply in call}

    assert set(replies) == {"red", "text", "nothing", "greedy", "blue"}
    for name in ("red", "blue"):
        assert not replies[name].HasField("error")
        assert replies[name].classes[0].name == name
    refusals = {name: refusal_in(replies[name].error) for name in ("text", "nothing", "greedy")}
    assert {refusal.code for refusal in refusals.values()} == {grpc.StatusCode.INVALID_ARGUMENT}
    assert {refusal.request_id for refusal in refusals.values()} == {"order-7"}
    assert [refusal.reason for refusal in refusals.values()] == [
        "IMAGE_UNRECOGNISED",
        "IMAGE_MISSING",
        "TOP_K_INVALID",
    ]
    assert not replies["text"].classes
    assert call.code() is grpc.StatusCode.OK


def test_a_stream_waits_when_a_single_image_would_be_refused(
    run_server: Callable[..., Any], request_for: Callable[[str], ClassifyRequest]
) -> None:
    server = run_server(max_in_flight=1, concurrency=2)

    replies = list(server.vision.ClassifyStream(map(request_for, ["red"] * 30), timeout=PATIENCE))

    assert [reply.classes[0].name for reply in replies] == ["red"] * 30


def test_the_server_does_not_read_ahead_of_its_responses(
    run_server: Callable[..., Any],
    open_network: Callable[[Path], Model],
    network: Any,
    eventually: Eventually,
) -> None:
    server = run_server(open_network, max_in_flight=64)
    network.close_gate()
    # Larger than the amount that the transport buffers for a slow reader.
    raw = RawImage(height=400, width=400, channels=3, data=bytes(480_000))
    request, sent = ClassifyRequest(image=Image(raw=raw)), 0

    def endless() -> Iterator[ClassifyRequest]:
        nonlocal sent
        while True:
            sent += 1
            yield request

    call = server.vision.ClassifyStream(endless(), timeout=PATIENCE)
    assert network.entered.acquire(timeout=PATIENCE)
    in_work = server.server._engine.workers

    # The window is eight images for each worker.
    eventually(lambda: in_work.inside == 8)
    assert sent < 30
    call.cancel()
    eventually(lambda: in_work.inside <= 1)
    network.gate.set()
    eventually(lambda: in_work.inside == 0)


def test_a_stream_ends_at_its_deadline(
    run_server: Callable[..., Any],
    open_network: Callable[[Path], Model],
    network: Any,
    request_for: Callable[[str], ClassifyRequest],
    eventually: Eventually,
) -> None:
    server = run_server(open_network)
    network.close_gate()

    with pytest.raises(grpc.RpcError) as raised:
        list(server.vision.ClassifyStream(map(request_for, ["red"] * 10), timeout=0.2))

    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    network.gate.set()
    eventually(lambda: server.server._engine.workers.inside == 0)


def test_a_caller_that_disconnects_leaves_no_work_or_permit_behind(
    server: Any, request_for: Callable[[str], ClassifyRequest], eventually: Eventually
) -> None:
    done = Event()

    def requests() -> Iterator[ClassifyRequest]:
        yield request_for("red")
        assert done.wait(PATIENCE)

    call = server.vision.ClassifyStream(requests(), timeout=PATIENCE)
    assert next(call).id == "red"
    call.cancel()
    done.set()

    eventually(lambda: not any(thread.name.startswith("stream") for thread in threading.enumerate()))
    (reply,) = server.vision.ClassifyStream(iter([request_for("blue")]), timeout=PATIENCE)
    assert reply.id == "blue"


def test_the_log_has_the_number_of_failed_requests_of_a_stream_and_their_reasons(
    server: Any, request_for: Callable[[str], ClassifyRequest], caplog: pytest.LogCaptureFixture
) -> None:
    image = request_for("red").image
    requests = [
        request_for("red"),
        ClassifyRequest(),
        ClassifyRequest(),
        ClassifyRequest(image=image, model=ModelRef(name="x" * 1000)),
    ]

    with caplog.at_level(logging.WARNING):
        list(server.vision.ClassifyStream(iter(requests), timeout=PATIENCE))

    (line,) = [record.getMessage() for record in caplog.records if "failed" in record.getMessage()]
    assert line == (
        f"3 of 4 requests of a stream failed: default model IMAGE_MISSING 2, {'x' * 100} MODEL_NOT_FOUND 1"
    )


def test_a_stream_of_good_images_logs_no_failures(
    server: Any, request_for: Callable[[str], ClassifyRequest], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        list(server.vision.ClassifyStream(iter([request_for("red")]), timeout=PATIENCE))

    assert not any("failed" in record.getMessage() for record in caplog.records)


def codes(caplog: pytest.LogCaptureFixture) -> set[object]:
    """The status codes in the log of requests."""
    return {getattr(record, FIELDS, {}).get("code") for record in caplog.records}


def test_a_stream_that_its_caller_cancels_logs_no_failures(
    run_server: Callable[..., Any],
    open_network: Callable[[Path], Model],
    network: Any,
    request_for: Callable[[str], ClassifyRequest],
    caplog: pytest.LogCaptureFixture,
    eventually: Eventually,
) -> None:
    server = run_server(open_network, concurrency=1)
    network.close_gate()
    workers = server.server._engine.workers
    with caplog.at_level(logging.INFO):
        stream = server.vision.ClassifyStream(iter([request_for("red")] * 5), timeout=PATIENCE)
        eventually(lambda: workers.inside == 5)
        stream.cancel()
        eventually(
            lambda: "CANCELLED" in {getattr(record, FIELDS, {}).get("code") for record in caplog.records}
        )
    network.gate.set()

    assert not any("failed" in record.getMessage() for record in caplog.records)
