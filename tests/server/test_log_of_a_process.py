"""The log of a server process, whatever its callers send and whether or not somebody reads it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import ModelRef
from spyglass.v1.vision_pb2_grpc import VisionStub

PATIENCE = 30
HOSTILE = "x\n12:00:00.000 INFO    forged\r\x1b[31m\u202e\x85\u2028"
CONSOLE_LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3} (DEBUG|INFO|WARNING|ERROR) +\S.*\n")


def send_hostile_requests(address: str, image: bytes) -> None:
    """Send every text that a caller may choose, in requests that fail and in ones that succeed."""
    hostile = ClassifyRequest(
        image=Image(encoded=b"SECRETPIXELS" * 100), model=ModelRef(name=HOSTILE, label=HOSTILE), id=HOSTILE
    )
    requests = [
        hostile,
        ClassifyRequest(image=Image(encoded=b"SECRETPIXELS" * 100), id=HOSTILE),
        ClassifyRequest(image=Image(encoded=image), id=HOSTILE),
        ClassifyRequest(image=Image(encoded=image), model=ModelRef(name="A" * 100_000)),
    ]
    with grpc.insecure_channel(address) as channel:
        stub = VisionStub(channel)
        for metadata in ([], [("x-request-id", "fine"), ("x-priority", "odd")]):
            assert len(list(stub.ClassifyStream(iter(requests), metadata=metadata, timeout=PATIENCE))) == 4
            for request in requests:
                try:
                    stub.Classify(request, metadata=metadata, timeout=PATIENCE)
                except grpc.RpcError:
                    continue


@pytest.mark.slow
@pytest.mark.parametrize("form", ["console", "json"])
def test_each_line_is_what_it_looks_like(
    spawn_server: Callable[..., Any], tiny_models: Path, color_image: Callable[..., bytes], form: str
) -> None:
    server = spawn_server("--models", tiny_models, "--log-format", form, "--log-level", "debug")
    server.wait_until_serving()
    send_hostile_requests(server.address, color_image("red"))
    server.process.terminate()
    server.wait_until_ended()

    assert len(server.log) > 15
    for line in server.log:
        assert "SECRETPIXELS" not in line and line[:-1].isprintable() and len(line) < 10_000
        if form == "json":
            assert {"time", "level", "logger", "message"} <= set(json.loads(line))
        else:
            assert CONSOLE_LINE.fullmatch(line)
            assert " forged" not in line.partition(r"\n")[0]


@pytest.mark.slow
def test_a_log_that_nobody_reads_does_not_stop_the_server(
    tiny_models: Path, color_image: Callable[..., bytes]
) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "spyglass_cli", "serve", "--models", str(tiny_models)),
            *("--port", "0", "--profile-seconds", "0", "--host", "localhost"),
        ],
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr
        port = 0
        while not port:
            found = re.search(rb"serving on port (\d+)", process.stderr.readline())
            port = int(found[1]) if found else 0
        # Nobody reads from now on. 6,000 lines are more than the pipe and the waiting lines may hold.
        request = ClassifyRequest(image=Image(encoded=color_image("red")))
        with grpc.insecure_channel(f"localhost:{port}") as channel:
            stub, sent = VisionStub(channel), 0
            for _ in range(12):
                responses = stub.ClassifyStream(iter([request] * 500), timeout=PATIENCE)
                sent += sum(1 for _ in responses)
            assert sent == 6000
            stub.Classify(request, timeout=PATIENCE)
        log = b""
        while b"dropped" not in log:
            log += os.read(process.stderr.fileno(), 1 << 20)
        (missing,) = re.findall(rb"WARNING +(\d+) log lines were dropped", log)
        lines = log.count(b"/spyglass.v1.Vision/Classify")
        # 6,000 requests in 12 streams, and a call.
        assert int(missing) > 0 and lines + int(missing) == 6000 + 12 + 1
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_process_whose_log_is_stuck_ends_in_time(
    tiny_models: Path, color_image: Callable[..., bytes]
) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 1000)
    except BlockingIOError:
        os.set_blocking(writer, True)
    process = subprocess.Popen(
        [sys.executable, "-m", "spyglass_cli", "serve", "--models", str(tiny_models), "--port", "0"],
        stderr=writer,
    )
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reader)
        os.close(writer)
