"""A server process for a benchmark, on a free port."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import psutil
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

START_SECONDS = 60


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[str, psutil.Process]]:
    """Start `spyglass serve`, wait until it reports SERVING, and yield its address and process.

    Raises RuntimeError if the server ends before it reports SERVING.
    """
    port = free_port()
    command = [sys.executable, "-m", "spyglass_cli", "serve", "--port", str(port), "--log-level", "warning"]
    with subprocess.Popen([*command, *arguments]) as process:
        try:
            address = f"localhost:{port}"
            _wait(address, process)
            yield address, psutil.Process(process.pid)
        finally:
            process.terminate()


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(START_SECONDS)
        for reply in HealthStub(channel).Watch(HealthCheckRequest(), timeout=START_SECONDS):
            if reply.status == HealthCheckResponse.SERVING:
                return
    raise RuntimeError(f"the server ended before it was ready, with exit code {process.wait()}")


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
