"""The limits of connections: how many, how old, and how many calls on each."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import grpc
import psutil
import pytest

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import ListModelsRequest
from spyglass.v1.vision_pb2_grpc import VisionStub

pytestmark = pytest.mark.slow

PATIENCE = 30


def new_channel(port: int) -> grpc.Channel:
    """A channel with a connection of its own."""
    return grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)])


def client_ports(server_port: int) -> set[int]:
    """The ports of this process's connections to the server."""
    connections = psutil.Process().net_connections()
    return {each.laddr.port for each in connections if each.raddr and each.raddr.port == server_port}


@pytest.fixture
def request_for_red(color_image: Callable[..., bytes]) -> ClassifyRequest:
    return ClassifyRequest(image=Image(encoded=color_image("red")))


def test_a_connection_above_the_limit_is_closed_and_the_others_go_on(
    run_server: Callable[..., Any], eventually: Callable[..., None]
) -> None:
    port = run_server(max_connections=2, host="127.0.0.1").server.port

    def lists(channel: grpc.Channel) -> bool:
        try:
            return len(VisionStub(channel).ListModels(ListModelsRequest(), timeout=2).models) == 1
        except grpc.RpcError as error:
            assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
            return False

    with ExitStack() as stack:
        channels = [stack.enter_context(new_channel(port)) for _ in range(3)]
        assert [lists(channel) for channel in channels] == [True, True, False]
        assert lists(channels[0])
        channels[1].close()
        eventually(lambda: lists(channels[2]))


def test_an_old_connection_is_replaced_and_no_call_fails(
    run_server: Callable[..., Any], request_for_red: ClassifyRequest
) -> None:
    port = run_server(connection_age_seconds=1).server.port
    with new_channel(port) as channel:
        vision = VisionStub(channel)
        vision.Classify(request_for_red, timeout=PATIENCE)
        first = client_ports(port)
        streamed = list(vision.ClassifyStream(_slowly(request_for_red), timeout=PATIENCE))
        for _ in range(200):
            assert vision.Classify(request_for_red, timeout=PATIENCE).classes[0].name == "red"
        assert len(first) == 1
        assert client_ports(port) - first
    assert [response.classes[0].name for response in streamed] == ["red"] * 15


def _slowly(request: ClassifyRequest) -> Iterator[ClassifyRequest]:
    """Requests for 1.5 seconds: longer than the connection may grow old."""
    for _ in range(15):
        yield request
        time.sleep(0.1)


def test_further_calls_of_a_connection_wait_for_the_earlier_ones(
    run_server: Callable[..., Any],
    open_network: Callable[..., Any],
    network: Any,
    request_for_red: ClassifyRequest,
) -> None:
    running = run_server(open_network, max_calls_per_connection=2)
    network.close_gate()
    with new_channel(running.server.port) as busy, new_channel(running.server.port) as free:
        calls = [VisionStub(busy).Classify.future(request_for_red, timeout=PATIENCE) for _ in range(6)]
        assert network.entered.acquire(timeout=PATIENCE)
        # Another connection is not affected.
        assert VisionStub(free).ListModels(ListModelsRequest(), timeout=PATIENCE).models
        assert running.server._engine.workers.inside <= 2
        network.gate.set()
        assert {call.result().classes[0].name for call in calls} == {"red"}


def test_a_client_that_is_not_http2_is_disconnected(run_server: Callable[..., Any]) -> None:
    port = run_server().server.port
    with closing(socket.create_connection(("localhost", port), timeout=PATIENCE)) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while data := plain.recv(4096):
            received += data
    assert b"Traceback" not in received
