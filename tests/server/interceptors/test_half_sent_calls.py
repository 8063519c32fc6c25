"""Calls that send only a part of a request: they hold no thread, and lose their place to others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Event
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from half_sent import HalfSent
from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image

pytestmark = pytest.mark.slow

PATIENCE = 30
CLASSIFY = "/spyglass.v1.Vision/Classify"
STREAM = "/spyglass.v1.Vision/ClassifyStream"
Eventually = Callable[[Callable[[], bool]], None]
Code = grpc.StatusCode


@pytest.fixture
def request_for_red(color_image: Callable[..., bytes]) -> ClassifyRequest:
    return ClassifyRequest(image=Image(encoded=color_image("red")))


def arriving(running: Any) -> int:
    return len(running.server._limits.receptions)


@pytest.mark.parametrize("method", [CLASSIFY, STREAM, "/spyglass.v1.Vision/GetModel"])
def test_calls_whose_request_does_not_arrive_hold_no_thread(
    run_server: Callable[..., Any], request_for_red: ClassifyRequest, eventually: Eventually, method: str
) -> None:
    server = run_server(max_in_flight=1, max_streams=1)
    assert server.vision.Classify(request_for_red, timeout=PATIENCE).classes
    before = threading.active_count()

    with closing(HalfSent(server.server.port, host="localhost")) as half:
        half.begin(method, 100)
        eventually(lambda: arriving(server) == 100)

        # Threads of earlier tests may end meanwhile.
        assert threading.active_count() <= before + 2
        assert server.vision.Classify(request_for_red, timeout=PATIENCE).classes
        (reply,) = server.vision.ClassifyStream(iter([request_for_red]), timeout=PATIENCE)
        assert reply.classes

    eventually(lambda: arriving(server) == 0)


def test_health_checks_that_do_not_arrive_hold_no_thread_of_the_health_service(server: Any) -> None:
    with closing(HalfSent(server.server.port, host="localhost")) as half:
        half.begin("/grpc.health.v1.Health/Check", 100)
        half.begin("/grpc.health.v1.Health/Watch", 20)

        reply = server.health.Check(HealthCheckRequest(), timeout=PATIENCE)

    assert reply.status == HealthCheckResponse.SERVING


def silence(idle: Event) -> Iterator[ClassifyRequest]:
    assert idle.wait(PATIENCE)
    yield from ()


def test_a_request_that_does_not_arrive_in_time_is_refused(
    run_server: Callable[..., Any], refused: Callable[..., Any]
) -> None:
    server, idle = run_server(receive_seconds=0.3), Event()
    classify = server.channel.stream_unary(CLASSIFY, ClassifyRequest.SerializeToString)

    refusal = refused(lambda: classify(silence(idle), timeout=PATIENCE))
    idle.set()

    assert (refusal.code, refusal.reason) == (Code.DEADLINE_EXCEEDED, "REQUEST_TOO_SLOW")
    assert refusal.message == "the request did not arrive within 0.3 s"


def test_the_call_that_has_waited_longest_loses_its_place_if_all_are_taken(
    run_server: Callable[..., Any],
    request_for_red: ClassifyRequest,
    refused: Callable[..., Any],
    eventually: Eventually,
) -> None:
    server, idle = run_server(max_receiving=4, max_receiving_per_caller=4), Event()
    classify = server.channel.stream_unary(CLASSIFY, ClassifyRequest.SerializeToString)
    slow = [classify.future(silence(idle), timeout=PATIENCE) for _ in range(4)]
    eventually(lambda: arriving(server) == 4)
    deadline = time.monotonic() + PATIENCE

    # They are protected for their first second; until then others are refused.
    while True:
        try:
            assert server.vision.Classify(request_for_red, timeout=PATIENCE).classes
            break
        except grpc.RpcError as error:
            assert error.code() is Code.RESOURCE_EXHAUSTED
            assert "4 calls whose request has not arrived" in error.details()
            assert time.monotonic() < deadline

    eventually(lambda: any(call.done() for call in slow))
    (ended,) = [call for call in slow if call.done()]
    assert refused(ended.result).reason == "TOO_MANY_UNFINISHED_REQUESTS"
    idle.set()


def test_one_address_cannot_take_all_places(run_server: Callable[..., Any], eventually: Eventually) -> None:
    server = run_server(host="127.0.0.1", max_receiving=8, max_receiving_per_caller=3)

    with (
        closing(HalfSent(server.server.port)) as one,
        closing(HalfSent(server.server.port, source="127.0.0.2")) as other,
    ):
        one.begin(CLASSIFY, 20)
        other.begin(CLASSIFY, 2)

        eventually(lambda: arriving(server) == 5)


def test_calls_that_have_not_arrived_end_at_once_when_the_server_drains(
    run_server: Callable[..., Any],
) -> None:
    server, idle = run_server(grace_seconds=PATIENCE), Event()
    classify = server.channel.stream_unary(CLASSIFY, ClassifyRequest.SerializeToString)
    slow = classify.future(silence(idle), timeout=PATIENCE)
    assert server.health.Check(HealthCheckRequest()).status == HealthCheckResponse.SERVING
    started = time.monotonic()

    server.server.stop()

    assert slow.code() is Code.UNAVAILABLE
    assert time.monotonic() - started < PATIENCE / 2
    idle.set()


def test_a_stream_that_waits_for_its_caller_for_too_long_ends(
    run_server: Callable[..., Any], refused: Callable[..., Any], request_for_red: ClassifyRequest
) -> None:
    server, idle = run_server(stream_idle_seconds=0.3), Event()

    def one_and_silence() -> Iterator[ClassifyRequest]:
        yield request_for_red
        assert idle.wait(PATIENCE)

    stream = server.vision.ClassifyStream(one_and_silence(), timeout=PATIENCE)

    assert next(stream).classes
    refusal = refused(lambda: next(stream))
    assert (refusal.code, refusal.reason) == (Code.DEADLINE_EXCEEDED, "STREAM_IDLE")
    idle.set()


def test_a_stream_with_an_image_in_work_is_not_idle(
    run_server: Callable[..., Any], open_network: Any, network: Any, request_for_red: ClassifyRequest
) -> None:
    server, idle = run_server(open_network, stream_idle_seconds=0.3), Event()
    network.close_gate()

    def one_and_silence() -> Iterator[ClassifyRequest]:
        yield request_for_red
        assert idle.wait(PATIENCE)

    stream = server.vision.ClassifyStream(one_and_silence(), timeout=PATIENCE)
    assert network.entered.acquire(timeout=PATIENCE)
    # Several times as long as a stream may be idle.
    time.sleep(1)
    network.gate.set()

    assert next(stream).classes[0].name == "red"
    idle.set()


def test_a_stream_whose_caller_reads_no_responses_ends(
    run_server: Callable[..., Any], eventually: Eventually
) -> None:
    server = run_server(stream_idle_seconds=0.5)
    request = ClassifyRequest(id="x" * 1000)

    def many() -> Iterator[ClassifyRequest]:
        for _ in range(20_000):
            yield request

    stream = server.vision.ClassifyStream(many(), timeout=PATIENCE)
    assert next(stream).HasField("error")

    # The responses fill the flow-control windows of the connection; the client never takes the next one.
    eventually(lambda: len(server.server._limits.streams) == 0)
    stream.cancel()
