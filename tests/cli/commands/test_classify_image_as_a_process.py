"""`classify-image` as a process: signals, pipes, terminals and unusual file names."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.vision_pb2_grpc import VisionServicer, add_VisionServicer_to_server

COMMAND = [
    sys.executable,
    "-W",
    "error",
    "-c",
    "import sys; from spyglass_cli.commands.classify_image import main; sys.exit(main())",
]


@pytest.fixture
def many_images(tmp_path: Path, color_image: Callable[..., bytes]) -> Path:
    for number in range(200):
        (tmp_path / f"{number:03}.png").write_bytes(color_image("red"))
    return tmp_path


class Silent(VisionServicer):
    """Takes images and never responds."""

    def __init__(self) -> None:
        self.called = threading.Event()

    def ClassifyStream(
        self, request_iterator: Iterator[ClassifyRequest], context: grpc.ServicerContext
    ) -> Iterator[ClassifyResponse]:
        for _ in request_iterator:
            self.called.set()
        return iter(())


@pytest.fixture
def silent() -> Iterator[tuple[Silent, str]]:
    servicer = Silent()
    server = grpc.server(ThreadPoolExecutor(4))
    add_VisionServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_an_interrupt_ends_the_command_with_130_and_no_output(
    silent: tuple[Silent, str], folder: Path
) -> None:
    servicer, address = silent
    # Without `-W error`, because an interrupt between the opening of a file and its `with` emits a warning.
    # With the handler of a foreground process, because the parent of this test may ignore SIGINT.
    foreground = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = [sys.executable, "-c", foreground + COMMAND[-1]]
    with subprocess.Popen(
        [*command, "images", "--server", address], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert servicer.called.wait(30)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (130, b"", b"")


def test_a_closed_pipe_ends_the_command_without_an_error(server: str, many_images: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, str(many_images), "--format", "jsonl", "--server", server],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"{")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141


def test_a_progress_bar_is_drawn_on_a_terminal_and_not_into_the_output(
    server: str, many_images: Path
) -> None:
    terminal, errors = pty.openpty()
    finished = subprocess.run(
        [*COMMAND, str(many_images), "--format", "json", "--server", server],
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, "TERM": "xterm"},
        check=True,
    )
    os.close(errors)
    drawn = read_all(terminal)
    assert b"200/200" in drawn
    assert len(json.loads(finished.stdout)) == 200


def read_all(terminal: int) -> bytes:
    drawn = b""
    try:
        while more := os.read(terminal, 65536):
            drawn += more
    # Linux raises this when the other side of a terminal is closed.
    except OSError:
        os.close(terminal)
    return drawn


@pytest.mark.parametrize("format_name", ["table", "json", "jsonl", "csv"])
def test_a_file_name_that_is_not_valid_text_is_shown(
    server: str, tmp_path: Path, color_image: Callable[..., bytes], format_name: str
) -> None:
    (tmp_path / "odd \udcff[red].png").write_bytes(color_image("red"))
    finished = subprocess.run(
        [*COMMAND, str(tmp_path), "--format", format_name, "--server", server],
        capture_output=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert b"[red].png" in finished.stdout
