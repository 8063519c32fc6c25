"""The thread of gRPC's events: what it does between them, and when one fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from grpc import _server
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass_server.interceptors import grpcio_loop
from spyglass_server.servicers.direct.unary import UnaryCalls

PATIENCE = 30


class FakeLead:
    """Wants to run until it has run once; then it leads no more."""

    wanted = True
    is_mine = True

    def begin(self, replace: Callable[[], object]) -> None:
        pass

    def run(self) -> None:
        self.wanted = self.is_mine = False

    def end(self) -> None:
        self.is_mine = False


def test_light_jobs_run_although_the_events_have_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    handled: list[object] = []

    def handle(state: object, event: object) -> bool:
        handled.append(event)
        return len(handled) < 1000

    monkeypatch.setattr(_server, "_process_event_and_continue", handle)
    event = SimpleNamespace(completion_type=cygrpc.CompletionType.operation_complete, tag=None)
    state = SimpleNamespace(
        completion_queue=SimpleNamespace(poll=lambda deadline: event), server_deallocated=False
    )
    lead = FakeLead()

    grpcio_loop._loop(state, lead, lambda call: False)

    assert not lead.wanted
    assert len(handled) < 100


def test_a_call_that_cannot_be_begun_does_not_end_the_server(
    run_server: Callable[..., Any],
    color_image: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = run_server()
    request = ClassifyRequest(image=Image(encoded=color_image("red")))

    def fail(*arguments: object) -> None:
        raise RuntimeError("no thread is free")

    with caplog.at_level(logging.ERROR), monkeypatch.context() as patched:
        patched.setattr(UnaryCalls, "begin", fail)
        with pytest.raises(grpc.RpcError) as raised:
            server.vision.Classify(request, timeout=0.5)
    assert raised.value.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)

    assert "an event of a call could not be handled" in caplog.text
    assert server.vision.Classify(request, timeout=PATIENCE).classes[0].name == "red"


def test_a_tag_is_due_as_often_as_it_was_added() -> None:
    tags = grpcio_loop._Tags({"shutdown"})
    tags.add("call")
    tags.add("call")

    tags.remove("call")
    tags.remove("shutdown")

    assert len(tags) == 1
    tags.remove("call")
    assert not tags
    with pytest.raises(KeyError):
        tags.remove("call")


@pytest.mark.slow
def test_a_server_whose_calls_are_many_ends_without_a_call_or_a_request_that_is_due(
    run_server: Callable[..., Any], color_image: Callable[..., bytes]
) -> None:
    server = run_server()
    request = ClassifyRequest(image=Image(encoded=color_image("red")))
    calls = [server.vision.Classify.future(request, timeout=PATIENCE) for _ in range(300)]
    assert {call.result(PATIENCE).classes[0].name for call in calls} == {"red"}
    state = server.server._grpc.server._state

    server.server.stop(grace=5)

    assert not state.due
    assert not state.rpc_states
