"""Servers that can stop, start again on their ports, and report their health."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import grpc
import pytest
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from spyglass.v1.vision_pb2_grpc import add_VisionServicer_to_server

MakeVision = Callable[..., Any]


class Stoppable:
    """A server with the name of its address; it counts its calls and can wait in each."""

    def __init__(self, fake_vision: MakeVision, address: str, calls_per_connection: int) -> None:
        self.address = address
        self.calls = 0
        self.entered, self.released = Event(), Event()
        self.released.set()
        self.error: Exception | None = None
        self.delay = 0.0
        self._fake_vision = fake_vision
        self._calls_per_connection = calls_per_connection
        self._cat = fake_vision().respond
        self.health = HealthServicer()
        self._server: grpc.Server | None = None

    def start(self) -> None:
        options = [
            ("grpc.so_reuseport", 0),
            ("grpc.max_concurrent_streams", self._calls_per_connection),
        ]
        server = grpc.server(ThreadPoolExecutor(16), options=options)
        self.vision = self._fake_vision(self._respond)
        add_VisionServicer_to_server(self.vision, server)
        add_HealthServicer_to_server(self.health, server)
        self.report(serving=True)
        assert server.add_insecure_port(self.address)
        server.start()
        self._server = server

    def report(self, *, serving: bool) -> None:
        """Report the health of the whole server."""
        status = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
        self.health.set("", status)

    def stop(self) -> None:
        """Break all connections, as a server that is killed does."""
        if self._server:
            ended = self._server.stop(None)
            self.released.set()
            ended.wait()
            self._server = None

    def _respond(self, request: Any) -> Any:
        self.calls += 1
        self.entered.set()
        time.sleep(self.delay)
        self.released.wait(30)
        if self.error:
            raise self.error
        return self._cat(request)


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def make_server(fake_vision: MakeVision) -> Iterator[Callable[..., Stoppable]]:
    """Make a server that runs: `make_server(host, port)`; without `running` the test starts it."""
    made: list[Stoppable] = []

    def make(
        host: str = "127.0.0.1", port: int = 0, *, running: bool = True, calls_per_connection: int = 100
    ) -> Stoppable:
        server = Stoppable(fake_vision, f"{host}:{port or free_port(host)}", calls_per_connection)
        if running:
            server.start()
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()
