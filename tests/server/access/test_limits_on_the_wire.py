"""Servers with limits for each caller: what is refused, what waits, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import numpy as np
import pytest

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image, RawImage
from spyglass.v1.vision_pb2_grpc import VisionStub
from spyglass_server.engine.models.model import Model
from spyglass_server.interceptors import grpcio_calls, grpcio_loop

Code = grpc.StatusCode
PATIENCE = 30


def bearer(token: str) -> dict[str, Any]:
    return {"metadata": [("authorization", f"Bearer {token}")], "timeout": PATIENCE}


@pytest.fixture(params=["by the loop of events", pytest.param("by a layer", marks=pytest.mark.slow)])
def limited(
    request: pytest.FixtureRequest, run_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Start a server: with the private names of grpcio, and without them."""
    if request.param == "by a layer":
        for module in (grpcio_calls, grpcio_loop):
            monkeypatch.setattr(module, "_NAMES", ("_a_name_that_grpcio_does_not_have",))
    return run_server


@pytest.fixture
def red(color_image: Callable[..., bytes]) -> ClassifyRequest:
    return ClassifyRequest(image=Image(encoded=color_image("red")))


def of_megapixels(count: float) -> ClassifyRequest:
    side = round((count * 1e6) ** 0.5)
    data = np.zeros((side, side, 1), np.uint8).tobytes()
    return ClassifyRequest(image=Image(raw=RawImage(height=side, width=side, channels=1, data=data)))


def until_refused(refused: Callable[..., Any], call: Callable[[], object], most: int) -> tuple[int, Any]:
    """Call until the server refuses; return the number of calls before, and the refusal."""
    for number in range(most):
        try:
            call()
        except grpc.RpcError:
            return number, refused(call)
    raise AssertionError("nothing was refused")


@pytest.mark.slow
def test_requests_above_the_rate_are_refused_until_the_time_to_retry_has_passed(
    limited: Callable[..., Any], red: ClassifyRequest, refused: Callable[..., Any]
) -> None:
    server = limited(caller_requests_per_second=2)

    def call() -> object:
        return server.vision.Classify(red, timeout=PATIENCE)

    accepted, refusal = until_refused(refused, call, 50)

    assert 5 <= accepted <= 8
    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "CALLER_REQUEST_RATE")
    assert 0 < refusal.retry_delay <= 0.55
    time.sleep(refusal.retry_delay)
    call()


def test_megapixels_above_the_rate_are_refused_before_they_are_decoded(
    limited: Callable[..., Any], refused: Callable[..., Any]
) -> None:
    server = limited(caller_megapixels_per_second=0.5)
    request = of_megapixels(0.9)

    accepted, refusal = until_refused(refused, lambda: server.vision.Classify(request, timeout=PATIENCE), 10)

    assert accepted == 2
    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "CALLER_MEGAPIXEL_RATE")
    assert 0.5 < refusal.retry_delay <= 1.65


def test_calls_at_a_time_are_bounded_for_each_token_and_others_go_on(
    limited: Callable[..., Any],
    token_file: Any,
    open_network: Callable[[Path], Model],
    network: Any,
    red: ClassifyRequest,
    refused: Callable[..., Any],
) -> None:
    one, other = token_file.issue("one"), token_file.issue("other")
    server = limited(open_network, tokens=token_file.path, caller_concurrent_calls=2)
    network.close_gate()
    held = [server.vision.Classify.future(red, **bearer(one)) for _ in range(2)]
    assert network.entered.acquire(timeout=PATIENCE)
    while server.server._engine.workers.inside < 2:
        time.sleep(0.01)

    refusal = refused(lambda: server.vision.Classify(red, **bearer(one)))
    accepted = server.vision.Classify.future(red, **bearer(other))

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "CALLER_CONCURRENT_CALLS")
    assert refusal.retry_delay
    network.gate.set()
    assert all(call.result(PATIENCE).classes for call in [*held, accepted])
    assert server.vision.Classify(red, **bearer(one)).classes


def test_a_token_has_limits_of_its_own(
    limited: Callable[..., Any], token_file: Any, red: ClassifyRequest, refused: Callable[..., Any]
) -> None:
    slow = token_file.issue("slow", limits={"requests_per_second": 0.1})
    free = token_file.issue("free", limits={"requests_per_second": 0})
    server = limited(tokens=token_file.path, caller_requests_per_second=1)

    assert server.vision.Classify(red, **bearer(slow)).classes
    refusal = refused(lambda: server.vision.Classify(red, **bearer(slow)))

    assert 7 < refusal.retry_delay <= 8.05
    assert all(server.vision.Classify(red, **bearer(free)).classes for _ in range(10))


@pytest.mark.slow
def test_a_stream_above_the_rate_is_slowed_down_and_loses_no_image(
    limited: Callable[..., Any], red: ClassifyRequest
) -> None:
    server = limited(caller_requests_per_second=20)
    began = time.monotonic()

    responses = list(server.vision.ClassifyStream(iter([red] * 55), timeout=PATIENCE))

    # 41 at once, and 14 at 20 a second.
    assert [response.classes[0].name for response in responses] == ["red"] * 55
    assert 0.6 < time.monotonic() - began < PATIENCE


def test_a_slowed_stream_does_not_delay_another_caller_and_can_be_cancelled(
    limited: Callable[..., Any], token_file: Any, red: ClassifyRequest, eventually: Callable[..., None]
) -> None:
    slow = token_file.issue("slow", limits={"requests_per_second": 0.01})
    other = token_file.issue("other")
    server = limited(tokens=token_file.path)
    stream = server.vision.ClassifyStream(iter([red] * 3), **bearer(slow))
    assert next(stream).classes

    assert server.vision.Classify(red, **bearer(other)).classes
    stream.cancel()

    eventually(lambda: len(server.server._limits.streams) == 0)


def test_streams_are_bounded_for_each_caller(
    limited: Callable[..., Any], token_file: Any, red: ClassifyRequest, refused: Callable[..., Any]
) -> None:
    few = token_file.issue("few", limits={"streams": 1})
    other = token_file.issue("other")
    server, idle = limited(tokens=token_file.path, max_streams_per_caller=2), Event()

    def forever() -> Iterator[ClassifyRequest]:
        yield red
        assert idle.wait(PATIENCE)

    def opened(token: str) -> Any:
        stream = server.vision.ClassifyStream(forever(), **bearer(token))
        assert next(stream).classes
        return stream

    streams = [opened(few), opened(other), opened(other)]
    refusals = [refused(lambda token=token: opened(token)) for token in (few, other)]

    assert [each.reason for each in refusals] == ["TOO_MANY_STREAMS"] * 2
    assert ["already has 1 streams" in refusals[0].message, "already has 2" in refusals[1].message]
    idle.set()
    assert [list(stream) for stream in streams] == [[]] * 3


def test_limits_count_an_address_without_tokens(
    limited: Callable[..., Any], red: ClassifyRequest, refused: Callable[..., Any]
) -> None:
    server = limited(caller_requests_per_second=0.1)
    server.vision.Classify(red, timeout=PATIENCE)
    options = [("grpc.use_local_subchannel_pool", 1)]

    with grpc.insecure_channel(f"localhost:{server.server.port}", options) as channel:
        refusal = refused(lambda: VisionStub(channel).Classify(red, timeout=PATIENCE))

    assert refusal.reason == "CALLER_REQUEST_RATE"
