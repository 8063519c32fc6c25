"""Observations: what is known of a request at its end, and who sees it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import ListModelsRequest, ModelRef
from spyglass_server.engine.observation import Observation
from spyglass_server.observing.observers import Observers

PATIENCE = 30


@pytest.fixture
def seen(server: Any) -> list[Observation]:
    """The observations of a server, from now on."""
    found: list[Observation] = []
    observers = server.server._observing.observers
    observers._observers = (*observers._observers, found.append)
    return found


def test_an_observer_that_fails_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    def fail(observation: Observation) -> None:
        raise ValueError("inside")

    observers = Observers([fail, lambda each: seen.append(each.code)])
    with caplog.at_level(logging.ERROR):
        observers.end(Observation("/service/Method"), "OK")
    assert seen == ["OK"]
    assert "an observer failed" in caplog.text


def test_an_answered_request_is_seen_with_all_of_its_parts(
    server: Any, seen: list[Observation], color_image: Callable[..., bytes]
) -> None:
    formats: list[str] = []
    observers = server.server._observing.observers
    observers._observers = (*observers._observers, lambda each: formats.append(each.image_format))
    request = ClassifyRequest(image=Image(encoded=color_image("red")))
    response = server.vision.Classify(request, timeout=PATIENCE, metadata=[("x-request-id", "mine")])

    (observation,) = seen
    assert (observation.method, observation.kind) == ("/spyglass.v1.Vision/Classify", "request")
    assert (observation.code, observation.reason, observation.request_id) == ("OK", "", "mine")
    assert observation.model and observation.model.card.name == response.served_by.model
    assert observation.request_bytes == request.ByteSize()
    assert observation.response_bytes == response.ByteSize()
    assert formats == ["PNG"]
    # gRPC may hold it for longer than it needs its image.
    assert observation.request is None and observation.image is None
    assert observation.timing == response.timing
    assert observation.inferred and len(observation.inferred.output) == 3
    assert 0 < observation.seconds < PATIENCE
    assert observation.call and observation.call.caller.address


def test_pixels_have_a_format_of_their_own() -> None:
    observation = Observation("/m")
    assert observation.image_format == ""
    observation.image = np.zeros((1, 1, 3), np.uint8)
    assert observation.image_format == "RAW"
    observation.image = b"no image"
    assert observation.image_format == ""


def test_a_failed_request_is_seen_with_its_reason(server: Any, seen: list[Observation]) -> None:
    with pytest.raises(grpc.RpcError):
        server.vision.Classify(ClassifyRequest(image=Image(encoded=b"no image")), timeout=PATIENCE)
    with pytest.raises(grpc.RpcError):
        server.vision.Classify(
            ClassifyRequest(image=Image(encoded=b"-"), model=ModelRef(name="none")), timeout=PATIENCE
        )

    assert [(each.code, each.reason) for each in seen] == [
        ("INVALID_ARGUMENT", "IMAGE_UNRECOGNISED"),
        ("NOT_FOUND", "MODEL_NOT_FOUND"),
    ]
    assert seen[0].model and not seen[1].model
    assert not any(each.inferred or each.timing for each in seen)


def test_a_request_that_is_no_message_is_seen(server: Any, seen: list[Observation]) -> None:
    call = server.channel.unary_unary("/spyglass.v1.Vision/Classify")
    with pytest.raises(grpc.RpcError):
        call(b"\xff\xff", timeout=PATIENCE)

    assert [(each.code, each.reason) for each in seen] == [("INVALID_ARGUMENT", "MESSAGE_INVALID")]


def test_other_methods_are_seen_too(server: Any, seen: list[Observation]) -> None:
    server.vision.ListModels(ListModelsRequest(), timeout=PATIENCE)

    assert [(each.method, each.code) for each in seen] == [("/spyglass.v1.Vision/ListModels", "OK")]


def test_each_message_of_a_stream_is_seen_and_then_the_stream(
    server: Any, seen: list[Observation], color_image: Callable[..., bytes]
) -> None:
    requests = [
        ClassifyRequest(image=Image(encoded=color_image("red"))),
        ClassifyRequest(image=Image(encoded=b"no image")),
    ]
    assert len(list(server.vision.ClassifyStream(iter(requests), timeout=PATIENCE))) == 2

    *messages, stream = seen
    assert sorted((each.kind, each.code) for each in messages) == [
        ("message", "INVALID_ARGUMENT"),
        ("message", "OK"),
    ]
    assert (stream.kind, stream.code, stream.messages, stream.failed) == ("stream", "OK", 2, 1)


def test_a_stream_on_threads_is_seen_in_the_same_way(
    run_server: Callable[..., Any], color_image: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spyglass_server.servicers.direct.calls.is_known", lambda: False)
    running = run_server()
    found: list[Observation] = []
    observers = running.server._observing.observers
    observers._observers = (*observers._observers, found.append)
    request = ClassifyRequest(image=Image(encoded=color_image("red")))
    assert len(list(running.vision.ClassifyStream(iter([request]), timeout=PATIENCE))) == 1
    running.vision.Classify(request, timeout=PATIENCE)

    assert [(each.kind, each.code) for each in found] == [
        ("message", "OK"),
        ("stream", "OK"),
        ("request", "OK"),
    ]
    assert found[1].messages == 1
    assert all(each.inferred for each in (found[0], found[2]))
