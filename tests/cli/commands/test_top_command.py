"""`spyglass top`, against a real server and against recorded metrics."""

from __future__ import annotations

import io
import os
import pty
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

pytest.importorskip("prometheus_client")

from spyglass_cli.commands.top import _metrics_of
from spyglass_cli.main import main
from spyglass_cli.output.top_screen import screen
from spyglass_cli.watching.changes import Changes
from spyglass_cli.watching.snapshot import fetch
from spyglass_client import Client
from spyglass_contract.errors import SpyglassError
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings


@pytest.fixture
def server(tiny_models: Path) -> Iterator[Server]:
    """A server with metrics."""
    settings = ServerSettings(
        models=[tiny_models], host="localhost", port=0, metrics_port=0, profile_seconds=0, concurrency=1
    )
    server = Server(settings)
    server.start()
    yield server
    server.stop(grace=0)


def use(server: Server) -> None:
    """Send three requests that succeed and one that fails."""
    with Client(f"localhost:{server.port}") as client:
        for _ in range(3):
            client.classify(Image.new("RGB", (20, 12)))
        with pytest.raises(SpyglassError):
            client.classify(b"no image")


def words(text: str) -> dict[str, str]:
    """Return the rest of each line by its first word."""
    return {line.split()[0]: " ".join(line.split()[1:]) for line in text.splitlines() if line.split()}


def test_once_prints_a_plain_table(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    address = f"localhost:{server.metrics_port}"
    assert main(["top", "--metrics", address, "--once", "--interval", "0.05"]) == 0
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert words(output)["colors/1"] == "0.0/s - - CPU fp32"
    assert words(output)["requests"] == "0.0/s"


def test_the_view_has_the_rates_and_latencies_of_the_interval(server: Server) -> None:
    address = f"localhost:{server.metrics_port}"
    before = fetch(address)
    use(server)
    changes = Changes(before, fetch(address))
    text = words(shown(changes, 100))

    assert text["requests"] == f"{4 / changes.seconds:.1f}/s"
    assert text["errors"] == f"INVALID_ARGUMENT {1 / changes.seconds:.1f}/s"
    assert text["refused"] == "none"
    assert text["batch"].startswith("1.0 images")
    for stage in ("queue", "decode", "inference", "encode", "request"):
        assert text[stage].count("ms") == 2, text[stage]
    assert text["process"].endswith("1 runs at a time")


def test_the_view_has_the_hits_of_a_response_cache_if_there_is_one(server: Server, tiny_models: Path) -> None:
    now = fetch(f"localhost:{server.metrics_port}")
    assert "cache" not in words(shown(Changes(now, now), 100))

    caching = Server(
        ServerSettings(
            models=[tiny_models],
            host="localhost",
            port=0,
            metrics_port=0,
            profile_seconds=0,
            response_cache_bytes=1_500_000,
        )
    )
    caching.start()
    try:
        address = f"localhost:{caching.metrics_port}"
        before = fetch(address)
        with Client(f"localhost:{caching.port}") as client:
            for color in ("red", "red", "blue", "red"):
                client.classify(Image.new("RGB", (20, 12), color))
        after = fetch(address)
    finally:
        caching.stop(grace=0)

    assert words(shown(Changes(after, after), 100))["cache"].startswith("no requests, ")
    text = words(shown(Changes(before, after), 100))["cache"]
    assert text.startswith("50% hits, ")
    assert text.endswith(" of 1.5 MB held, 0.0 evictions/s")


def shown(changes: Changes, width: int) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(screen(changes, "localhost:9100", "it is gone"))
    return file.getvalue()


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_narrow_terminal_gets_narrow_lines(server: Server, width: int) -> None:
    now = fetch(f"localhost:{server.metrics_port}")
    text = shown(Changes(now, now), width)
    assert max(map(len, text.splitlines())) <= width
    assert "not up to date" in text.replace("\n", " ")


def test_no_server_is_one_line_of_error(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("localhost", 0)) as unused:
        port = unused.getsockname()[1]
    assert main(["top", "--metrics", f"localhost:{port}", "--once"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "start the server with --metrics-port" in line


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--metrics", "localhost"], "--metrics must be HOST:PORT, not 'localhost'"),
        (["--metrics", "http://localhost:9100"], "--metrics must be HOST:PORT"),
        (["https://localhost"], "HOST must be a name or an IP address, not 'https://localhost'"),
    ],
)
def test_an_invalid_address_is_invalid_usage(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top", *arguments]) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("vision", "vision:9100"),
        ("vision:50051", "vision:9100"),
        ("10.0.0.7", "10.0.0.7:9100"),
        ("::1", "[::1]:9100"),
        ("[::1]:50051", "[::1]:9100"),
    ],
)
def test_the_metrics_are_on_a_port_of_the_host(host: str, address: str) -> None:
    assert _metrics_of(host) == address


@pytest.mark.slow
def test_in_a_terminal_the_view_is_live_until_q(server: Server) -> None:
    keyboard, terminal = pty.openpty()
    command = [sys.executable, "-m", "spyglass_cli", "top", "--metrics", f"localhost:{server.metrics_port}"]
    process = subprocess.Popen(
        [*command, "--interval", "0.1"], stdin=terminal, stdout=terminal, env={**os.environ, "TERM": "xterm"}
    )
    os.close(terminal)
    seen, deadline = "", time.monotonic() + 30
    while process.poll() is None:
        assert time.monotonic() < deadline, seen
        if select.select([keyboard], [], [], 0.1)[0]:
            # The terminal is gone when its program has ended.
            with suppress(OSError):
                seen += os.read(keyboard, 65536).decode(errors="replace")
        if seen.count("colors/1") >= 3:
            os.write(keyboard, b"q")
            seen = ""
    assert process.returncode == 0
    os.close(keyboard)
