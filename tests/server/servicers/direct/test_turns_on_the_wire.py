"""Whose turn it is: connections, priorities and streams share the workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.vision_pb2_grpc import VisionStub
from spyglass_server.engine.models.model import Model

PATIENCE = 30
BULK = [("x-priority", "bulk")]
Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture
def turns(network: Any) -> list[str]:
    """The colours of the images in the order in which the network ran them; the first one is red."""
    ran: list[str] = []
    compute = network.compute

    def watched(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        outputs: NDArray[np.float32] = compute(pixels)
        ran.extend(("red", "green", "blue")[row.argmax()] for row in outputs)
        return outputs

    network.compute = watched
    return ran


@pytest.fixture
def halted(
    run_server: Callable[..., Any], open_network: Callable[[Path], Model], network: Any, turns: list[str]
) -> Any:
    """A server whose only worker waits at the gate."""
    running = run_server(open_network, concurrency=1)
    # The certificate has run.
    turns.clear()
    network.close_gate()
    return running


@pytest.fixture
def other(halted: Any) -> Iterator[VisionStub]:
    """A stub with a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"localhost:{halted.server.port}", options) as channel:
        yield VisionStub(channel)


@pytest.fixture
def request_for(color_image: Callable[..., bytes]) -> Callable[[str], ClassifyRequest]:
    return lambda color: ClassifyRequest(image=Image(encoded=color_image(color)))


def inside(halted: Any) -> int:
    return int(halted.server._engine.workers.inside)


def learn_slowly(halted: Any, network: Any, request: ClassifyRequest, seconds: float) -> None:
    """Make each run take `seconds`, open the gate, and let the server learn from three requests."""
    compute = network.compute

    def slow(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(seconds)
        result: NDArray[np.float32] = compute(pixels)
        return result

    network.compute = slow
    network.gate.set()
    for _ in range(3):
        halted.vision.Classify(request, timeout=PATIENCE)


def test_one_call_of_a_connection_does_not_wait_for_the_many_of_another(
    halted: Any,
    other: VisionStub,
    network: Any,
    turns: list[str],
    request_for: Callable[[str], ClassifyRequest],
    eventually: Eventually,
) -> None:
    many = [halted.vision.Classify.future(request_for("red"), timeout=PATIENCE) for _ in range(100)]
    eventually(lambda: inside(halted) == 100)
    one = other.Classify.future(request_for("green"), timeout=PATIENCE)
    eventually(lambda: inside(halted) == 101)

    network.gate.set()

    assert one.result(PATIENCE).classes[0].name == "green"
    assert {call.result(PATIENCE).classes[0].name for call in many} == {"red"}
    # One runs when it arrives, and one may have its turn before it.
    assert turns.index("green") <= 2


def test_one_call_does_not_wait_for_the_stream_of_another_connection(
    halted: Any,
    other: VisionStub,
    network: Any,
    turns: list[str],
    request_for: Callable[[str], ClassifyRequest],
    eventually: Eventually,
) -> None:
    streamed = halted.vision.ClassifyStream(iter([request_for("red")] * 30), timeout=PATIENCE)
    eventually(lambda: inside(halted) == 8)
    one = other.Classify.future(request_for("green"), timeout=PATIENCE)
    eventually(lambda: inside(halted) == 9)

    network.gate.set()

    assert one.result(PATIENCE).classes[0].name == "green"
    assert len(list(streamed)) == 30
    assert turns.index("green") <= 2


def test_bulk_calls_let_others_go_first_and_still_get_their_turns(
    halted: Any,
    network: Any,
    turns: list[str],
    request_for: Callable[[str], ClassifyRequest],
    eventually: Eventually,
) -> None:
    classify = halted.vision.Classify
    bulk = [classify.future(request_for("red"), timeout=PATIENCE, metadata=BULK) for _ in range(40)]
    eventually(lambda: inside(halted) == 40)
    others = [classify.future(request_for("green"), timeout=PATIENCE) for _ in range(40)]
    eventually(lambda: inside(halted) == 80)

    network.gate.set()

    assert {call.result(PATIENCE).classes[0].name for call in others} == {"green"}
    assert {call.result(PATIENCE).classes[0].name for call in bulk} == {"red"}
    before_the_last_green = turns[: len(turns) - turns[::-1].index("green")]
    # A tenth of the time is for bulk while others wait.
    assert 2 <= before_the_last_green.count("red") <= 10


def test_a_call_that_cannot_be_answered_in_time_is_refused_at_once(
    halted: Any,
    network: Any,
    turns: list[str],
    refused: Callable[..., Any],
    request_for: Callable[[str], ClassifyRequest],
    eventually: Eventually,
) -> None:
    compute = network.compute
    learn_slowly(halted, network, request_for("red"), 0.1)
    network.close_gate()
    calls = [halted.vision.Classify.future(request_for("red"), timeout=PATIENCE) for _ in range(30)]
    eventually(lambda: inside(halted) == 30)
    turns.clear()

    refusal = refused(lambda: halted.vision.Classify(request_for("blue"), timeout=1))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "DEADLINE_TOO_SHORT")
    assert refusal.retry_delay is not None
    assert inside(halted) == 30
    network.compute = compute
    network.gate.set()
    assert {call.result(PATIENCE).classes[0].name for call in calls} == {"red"}
    assert "blue" not in turns


def test_a_light_caller_with_a_short_deadline_is_served_beside_a_flood(
    halted: Any,
    other: VisionStub,
    network: Any,
    request_for: Callable[[str], ClassifyRequest],
    eventually: Eventually,
) -> None:
    learn_slowly(halted, network, request_for("red"), 0.05)
    flood = [halted.vision.Classify.future(request_for("red"), timeout=PATIENCE) for _ in range(100)]
    eventually(lambda: inside(halted) > 90)

    assert other.Classify(request_for("green"), timeout=2).classes[0].name == "green"
    assert inside(halted) > 50
    for call in flood:
        call.cancel()
    eventually(lambda: inside(halted) == 0)


def test_the_responses_of_a_stream_come_in_order_if_it_asks_for_that(
    run_server: Callable[..., Any],
    open_network: Callable[[Path], Model],
    network: Any,
    request_for: Callable[[str], ClassifyRequest],
) -> None:
    server = run_server(open_network, concurrency=2)
    compute, first = network.compute, threading.Event()

    def first_is_slow(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        outputs: NDArray[np.float32] = compute(pixels)
        if outputs[0].argmax() == 1:
            # The only green image is ready after two others.
            assert first.wait(PATIENCE)
        else:
            network.passed = getattr(network, "passed", 0) + 1
            if network.passed >= 2:
                first.set()
        return outputs

    network.compute = first_is_slow
    colors = ["green", *["red"] * 12]
    requests = [
        ClassifyRequest(index=index, image=request_for(color).image) for index, color in enumerate(colors)
    ]

    unordered = [reply.index for reply in server.vision.ClassifyStream(iter(requests), timeout=PATIENCE)]
    first.clear()
    network.passed = 0
    ordered = [
        reply.index
        for reply in server.vision.ClassifyStream(
            iter(requests), timeout=PATIENCE, metadata=[("x-ordered", "true")]
        )
    ]

    assert sorted(unordered) == ordered == list(range(13))
    assert unordered[0] != 0


@pytest.mark.slow
def test_a_caller_that_reads_no_responses_holds_no_thread_and_stops_nobody(
    run_server: Callable[..., Any], request_for: Callable[[str], ClassifyRequest], eventually: Eventually
) -> None:
    server = run_server(concurrency=1)
    assert server.vision.Classify(request_for("red"), timeout=PATIENCE).classes
    before = threading.active_count()
    # Long ids make responses that fill the buffers of the connection.
    request = ClassifyRequest(image=request_for("red").image, id="x" * 1024)

    sent = 0

    def endless() -> Iterator[ClassifyRequest]:
        nonlocal sent
        while True:
            sent += 1
            yield request

    def has_stopped() -> bool:
        before = sent
        time.sleep(0.2)
        return sent == before > 0

    streams = [server.vision.ClassifyStream(endless(), timeout=PATIENCE) for _ in range(3)]
    # The buffers of both sides are full: the server reads no further requests.
    eventually(has_stopped)
    assert inside(server) == 0

    # The client of this test has a thread for the requests of each stream.
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("stream")]
    assert threading.active_count() <= before + 2 * len(streams) + 2
    assert server.vision.Classify(request_for("blue"), timeout=PATIENCE).classes[0].name == "blue"
    for stream in streams:
        stream.cancel()
