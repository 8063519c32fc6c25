"""A server process for a benchmark, on a free port."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import psutil
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

START_SECONDS = 60


@contextmanager
def serving(
    *arguments: str, log_level: str = "warning", ca: Path | None = None
) -> Iterator[tuple[str, psutil.Process]]:
    """Start `spyglass serve`, wait until it reports SERVING, and yield its address and process.

    `ca` is the authority of a server with TLS.

    Raises RuntimeError if the server ends before it reports SERVING.
    """
    port = free_port()
    command = [sys.executable, "-m", "spyglass_cli", "serve", "--port", str(port), "--log-level", log_level]
    with subprocess.Popen([*command, *arguments]) as process:
        try:
            _wait(port, process, ca)
            yield f"localhost:{port}", psutil.Process(process.pid)
        finally:
            process.terminate()


def _wait(port: int, process: subprocess.Popen[bytes], ca: Path | None) -> None:
    end = time.monotonic() + START_SECONDS
    # gRPC waits for a second before it connects again, which would count as the server's start.
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the server does not listen; its exit code is {process.poll()}")
        time.sleep(0.005)
    with _channel(f"localhost:{port}", ca) as channel:
        for reply in HealthStub(channel).Watch(HealthCheckRequest(), timeout=START_SECONDS):
            if reply.status == HealthCheckResponse.SERVING:
                return
    raise RuntimeError(f"the server ended before it was ready, with exit code {process.wait()}")


def _channel(address: str, ca: Path | None) -> grpc.Channel:
    if ca is None:
        return grpc.insecure_channel(address)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca.read_bytes()))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
