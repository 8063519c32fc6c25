"""The end of the process: by which signal, when, and with which exit code."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest

from half_sent import HalfSent
from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.vision_pb2_grpc import VisionStub

PATIENCE = 30
Spawn = Callable[..., Any]

# A server whose networks never return: from `Session.__init__` or, once a file exists, from `Session.run`.
STOPPING = """
import os, sys, time
from spyglass_server.engine.models.session import Session
from spyglass_server.process import serve
from spyglass_server.settings import load_settings

stage, flag, *flags = sys.argv[1:]
original = Session.__init__ if stage == "loads" else Session.run

def stop(self, *arguments, **keywords):
    if stage == "loads":
        print("loading", file=sys.stderr, flush=True)
    while stage == "loads" or os.path.exists(flag):
        time.sleep(0.1)
    return original(self, *arguments, **keywords)

setattr(Session, "__init__" if stage == "loads" else "run", stop)
sys.exit(serve(load_settings(flags)))
"""

# A server that measures a model for ever.
MEASURING = """
import sys
import numpy as np
from spyglass_server.engine.profiling.profiler import Profiler
from spyglass_server.process import serve
from spyglass_server.settings import load_settings

def measure(self, task):
    network = task.source.open_network(1)
    pixels = np.zeros((64, 8, 8, 3), np.uint8)
    network.run(pixels)
    print("measuring", file=sys.stderr, flush=True)
    while True:
        network.run(pixels)

Profiler._finish = measure
sys.exit(serve(load_settings(sys.argv[1:])))
"""


@pytest.fixture
def stopping(tiny_models: Path, tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a server that hangs: `stopping("loads")` or `stopping("runs")`."""
    started: list[subprocess.Popen[str]] = []

    def start(stage: str) -> subprocess.Popen[str]:
        flags = ["--models", str(tiny_models), "--host", "localhost", "--port", "0", "--grace-seconds", "0.5"]
        command = [sys.executable, "-c", STOPPING, stage, str(tmp_path / "flag"), *flags]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def lines_until(process: subprocess.Popen[str], text: str) -> str:
    assert process.stderr
    return next(line for line in process.stderr if text in line)


@pytest.mark.slow
def test_a_server_that_loads_a_model_ends_on_a_signal(
    stopping: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = stopping("loads")
    lines_until(process, "loading")
    started = time.monotonic()

    process.send_signal(signal.SIGTERM)

    assert process.wait(PATIENCE) == 0
    assert time.monotonic() - started < PATIENCE / 2
    assert process.stderr
    assert "stopped while the models were loaded" in process.stderr.read()


@pytest.mark.slow
def test_a_network_that_never_returns_does_not_keep_the_process_alive(
    stopping: Callable[[str], subprocess.Popen[str]], color_image: Callable[..., bytes], tmp_path: Path
) -> None:
    process = stopping("runs")
    port = lines_until(process, "serving on port").split("port ")[1].split()[0]
    (tmp_path / "flag").touch()
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        request = ClassifyRequest(image=Image(encoded=color_image("red")))
        calls = [VisionStub(channel).Classify.future(request, timeout=PATIENCE) for _ in range(4)]
        time.sleep(0.2)

        process.send_signal(signal.SIGTERM)

        assert process.wait(PATIENCE) == 128 + signal.SIGTERM
        # gRPC has sent them their status before the process ended.
        assert {call.code() for call in calls} <= {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}
    assert process.stderr
    assert "requests did not end within 0.5 s" in process.stderr.read()


@pytest.mark.slow
def test_a_measurement_that_goes_on_does_not_abort_the_process(tiny_models: Path) -> None:
    flags = ["--models", str(tiny_models), "--host", "localhost", "--port", "0", "--grace-seconds", "0.5"]
    command = [sys.executable, "-c", MEASURING, *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        lines_until(process, "measuring")
        process.send_signal(signal.SIGTERM)

        assert process.wait(PATIENCE) == 0
        assert process.stderr
        assert "terminate" not in process.stderr.read()


@pytest.mark.slow
def test_calls_that_never_arrive_do_not_keep_the_process_alive(
    spawn_server: Spawn, tiny_models: Path
) -> None:
    server = spawn_server("--models", tiny_models, "--grace-seconds", "20")
    server.wait_until_serving()
    with closing(HalfSent(server.port, host="localhost")) as half:
        half.begin("/spyglass.v1.Vision/Classify", 50)
        half.begin("/spyglass.v1.Vision/ClassifyStream", 50)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)

        assert server.wait_until_ended() == 0
    assert time.monotonic() - started < 15


@pytest.mark.slow
def test_sighup_drains_as_sigterm_does(spawn_server: Spawn, tiny_models: Path) -> None:
    # The tests may run under nohup, whose children ignore the signal.
    inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        server = spawn_server("--models", tiny_models)
    finally:
        signal.signal(signal.SIGHUP, inherited)
    server.wait_until_serving()

    server.process.send_signal(signal.SIGHUP)

    assert server.wait_until_ended() == 0
    assert "draining for up to 20 s" in server.log[-2]


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_server_with_closed_standard_streams_serves(
    tiny_models: Path, color_image: Callable[..., bytes], closed: str
) -> None:
    with socket.create_server(("localhost", 0)) as probe:
        port = probe.getsockname()[1]
    flags = f'--host localhost --port {port} --models "$1"'
    serve = f'exec "{sys.executable}" -m spyglass_cli serve {flags} {closed}'
    process = subprocess.Popen(["bash", "-c", serve, "bash", str(tiny_models)], stderr=subprocess.PIPE)
    try:
        with grpc.insecure_channel(f"localhost:{port}") as channel:
            request = ClassifyRequest(image=Image(encoded=color_image("red")))
            response = None
            deadline = time.monotonic() + PATIENCE
            while response is None and time.monotonic() < deadline:
                try:
                    response = VisionStub(channel).Classify(request, wait_for_ready=True, timeout=PATIENCE)
                except grpc.RpcError as error:
                    assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert response
            assert response.classes[0].name == "red"
    finally:
        process.terminate()
        _, log = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert b"Traceback" not in log


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("203.0.113.7", "0", "this machine has no such address"),
        ("no-such-host.invalid", "0", "is not an address or a host name of this machine"),
        ("unix:/no/such/folder/socket", "0", "the path of a unix socket"),
    ],
)
def test_a_listen_error_has_its_cause(
    spawn_server: Spawn, tiny_models: Path, host: str, port: str, reason: str
) -> None:
    server = spawn_server("--models", tiny_models, "--host", host, "--port", port)

    assert server.wait_until_ended() == 1
    (line,) = [line for line in server.log if "cannot listen" in line]
    assert reason in line
    assert "Traceback" not in "".join(server.log)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use every port")
def test_the_error_of_a_privileged_port_names_the_privilege(spawn_server: Spawn, tiny_models: Path) -> None:
    server = spawn_server("--models", tiny_models, "--host", "127.0.0.1", "--port", "1")

    assert server.wait_until_ended() == 1
    assert "needs a privilege" in "".join(server.log)
