"""Overload: the server refuses or drops requests, and still reports its health."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import ListModelsRequest
from spyglass.v1.vision_pb2_grpc import VisionStub
from spyglass_server.engine.models.model import Model
from spyglass_server.logs import FIELDS
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings

Code = grpc.StatusCode
PATIENCE = 30
CAPACITY = 3
Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture
def halted(run_server: Callable[..., Any], open_network: Callable[[Path], Model], network: Any) -> Any:
    """A server for three requests at a time, whose network waits at the gate."""
    running = run_server(open_network, max_in_flight=CAPACITY, max_streams=2)
    network.close_gate()
    return running


@pytest.fixture
def request_for_red(color_image: Callable[..., bytes]) -> ClassifyRequest:
    return ClassifyRequest(image=Image(encoded=color_image("red")))


def inside(halted: Any) -> int:
    return int(halted.server._engine.workers.inside)


@pytest.fixture
def full(halted: Any, request_for_red: ClassifyRequest, eventually: Eventually) -> Iterator[list[Any]]:
    """The calls that fill the server of `halted`."""
    calls = [halted.vision.Classify.future(request_for_red, timeout=PATIENCE) for _ in range(CAPACITY)]
    eventually(lambda: inside(halted) == CAPACITY)
    yield calls
    for call in calls:
        call.cancel()


@pytest.mark.usefixtures("full")
def test_a_full_server_refuses_with_a_time_to_retry_after(
    halted: Any, refused: Callable[..., Any], request_for_red: ClassifyRequest
) -> None:
    refusal = refused(lambda: halted.vision.Classify(request_for_red))

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "QUEUE_FULL")
    assert 0.05 <= refusal.retry_delay <= 5


def test_admitted_requests_get_responses_while_others_are_refused(
    halted: Any,
    full: list[Any],
    network: Any,
    refused: Callable[..., Any],
    request_for_red: ClassifyRequest,
) -> None:
    for _ in range(10):
        refused(lambda: halted.vision.Classify(request_for_red))

    network.gate.set()

    assert [call.result(PATIENCE).classes[0].name for call in full] == ["red"] * CAPACITY


@pytest.mark.usefixtures("full")
def test_a_full_server_still_serves_calls_without_images(halted: Any) -> None:
    assert halted.health.Check(HealthCheckRequest(), timeout=PATIENCE).status == HealthCheckResponse.SERVING
    assert next(halted.health.Watch(HealthCheckRequest(), timeout=PATIENCE)).status
    assert len(halted.vision.ListModels(ListModelsRequest(), timeout=PATIENCE).models) == 1


@pytest.mark.usefixtures("full")
def test_a_full_server_is_healthy_while_it_refuses_many_calls(
    halted: Any, request_for_red: ClassifyRequest
) -> None:
    hail = [halted.vision.Classify.future(request_for_red, timeout=PATIENCE) for _ in range(200)]

    assert halted.health.Check(HealthCheckRequest(), timeout=PATIENCE).status == HealthCheckResponse.SERVING
    assert {call.code() for call in hail} == {Code.RESOURCE_EXHAUSTED}


def test_a_call_ends_at_its_deadline_and_the_server_drops_its_work(
    halted: Any, network: Any, request_for_red: ClassifyRequest, eventually: Eventually
) -> None:
    running = halted.vision.Classify.future(request_for_red, timeout=PATIENCE)
    assert network.entered.acquire(timeout=PATIENCE)

    with pytest.raises(grpc.RpcError) as raised:
        halted.vision.Classify(request_for_red, timeout=0.1)

    assert raised.value.code() is Code.DEADLINE_EXCEEDED
    eventually(lambda: inside(halted) == 1)
    network.gate.set()
    running.result(PATIENCE)
    halted.vision.Classify(request_for_red, timeout=PATIENCE)
    assert len(network.batches) == 2


def test_the_server_drops_the_work_of_a_cancelled_call(
    halted: Any, network: Any, request_for_red: ClassifyRequest, eventually: Eventually
) -> None:
    running = halted.vision.Classify.future(request_for_red, timeout=PATIENCE)
    assert network.entered.acquire(timeout=PATIENCE)
    cancelled = halted.vision.Classify.future(request_for_red, timeout=PATIENCE)
    eventually(lambda: inside(halted) == 2)

    cancelled.cancel()

    eventually(lambda: inside(halted) == 1)
    network.gate.set()
    assert running.result(PATIENCE).classes[0].name == "red"
    halted.vision.Classify(request_for_red, timeout=PATIENCE)
    assert len(network.batches) == 2


def test_streams_above_the_limit_are_refused(halted: Any, refused: Callable[..., Any]) -> None:
    idle = Event()

    def one_and_silence() -> Iterator[ClassifyRequest]:
        yield ClassifyRequest()
        assert idle.wait(PATIENCE)

    streams = [halted.vision.ClassifyStream(one_and_silence(), timeout=PATIENCE) for _ in range(2)]
    assert all(next(stream).HasField("error") for stream in streams)

    refusal = refused(lambda: list(halted.vision.ClassifyStream(iter([ClassifyRequest()]))))

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")
    assert "2 streams" in refusal.message
    assert refusal.retry_delay is not None
    assert halted.health.Check(HealthCheckRequest(), timeout=PATIENCE).status == HealthCheckResponse.SERVING
    idle.set()
    assert [list(stream) for stream in streams] == [[], []]


def test_idle_streams_of_any_kind_leave_threads_for_other_calls(
    run_server: Callable[..., Any], request_for_red: ClassifyRequest
) -> None:
    server, idle = run_server(max_in_flight=4, max_streams=4), Event()

    def one_and_silence() -> Iterator[ServerReflectionRequest]:
        yield ServerReflectionRequest(list_services="")
        assert idle.wait(PATIENCE)

    reflection = ServerReflectionStub(server.channel)
    streams = [reflection.ServerReflectionInfo(one_and_silence(), timeout=PATIENCE) for _ in range(100)]

    assert server.health.Check(HealthCheckRequest(), timeout=PATIENCE).status == HealthCheckResponse.SERVING
    assert server.vision.Classify(request_for_red, timeout=PATIENCE).classes
    idle.set()
    for stream in streams:
        with suppress(grpc.RpcError):
            list(stream)
    assert {stream.code() for stream in streams} == {Code.OK, Code.RESOURCE_EXHAUSTED}


def test_health_is_reported_while_every_thread_waits_for_slow_callers(halted: Any) -> None:
    go_on = Event()

    def slowly() -> Iterator[ClassifyRequest]:
        assert go_on.wait(PATIENCE)
        yield ClassifyRequest()

    classify = halted.channel.stream_unary(
        "/spyglass.v1.Vision/Classify", request_serializer=ClassifyRequest.SerializeToString
    )
    calls = [classify.future(slowly(), timeout=PATIENCE) for _ in range(100)]

    assert halted.health.Check(HealthCheckRequest(), timeout=PATIENCE).status == HealthCheckResponse.SERVING
    go_on.set()
    assert {call.code() for call in calls} == {Code.INVALID_ARGUMENT}


def test_a_caller_that_disconnects_is_not_logged_as_a_fault_of_the_server(
    halted: Any, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    idle = Event()

    def silence() -> Iterator[ServerReflectionRequest]:
        yield ServerReflectionRequest(list_services="")
        assert idle.wait(PATIENCE)

    with caplog.at_level(logging.INFO):
        stream = ServerReflectionStub(halted.channel).ServerReflectionInfo(silence(), timeout=PATIENCE)
        next(stream)
        stream.cancel()
        eventually(lambda: any(hasattr(record, FIELDS) for record in caplog.records))
    idle.set()

    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_server_that_is_starting_is_unavailable(
    tiny_models: Path,
    open_network: Callable[[Path], Model],
    refused: Callable[..., Any],
    request_for_red: ClassifyRequest,
) -> None:
    loading, go_on = Event(), Event()

    def open_slowly(path: Path) -> Model:
        loading.set()
        assert go_on.wait(PATIENCE)
        return open_network(path)

    server = Server(ServerSettings(models=tiny_models, host="localhost", port=0))
    starting = threading.Thread(target=server.start, args=[open_slowly])
    starting.start()
    with grpc.insecure_channel(f"localhost:{server.port}") as channel:
        vision, health = VisionStub(channel), HealthStub(channel)
        assert loading.wait(PATIENCE)
        calls = [
            lambda: vision.Classify(request_for_red),
            lambda: vision.ListModels(ListModelsRequest()),
            lambda: list(vision.ClassifyStream(iter([request_for_red]))),
        ]
        for call in calls:
            refusal = refused(call)
            assert (refusal.code, refusal.message) == (Code.UNAVAILABLE, "the server is starting")
        assert health.Check(HealthCheckRequest()).status == HealthCheckResponse.NOT_SERVING

        go_on.set()
        starting.join(PATIENCE)

        assert health.Check(HealthCheckRequest()).status == HealthCheckResponse.SERVING
        assert vision.Classify(request_for_red).classes[0].name == "red"
    server.stop(grace=0)
