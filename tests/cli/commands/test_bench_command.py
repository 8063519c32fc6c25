"""`spyglass bench` against a real server, and in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from spyglass_cli.main import main
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings

pytestmark = pytest.mark.slow

SHORT = ("--seconds", "0.5", "--warm-up", "0.1", "--processes", "1")


@pytest.fixture
def image(tmp_path: Path, color_image: Callable[..., bytes]) -> str:
    path = tmp_path / "red.png"
    path.write_bytes(color_image("red"))
    return str(path)


def test_in_process_it_writes_a_table_json_and_a_plot(
    image: str, tiny_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, plot = tmp_path / "report.json", tmp_path / "plot.png"
    flags = ("--in-process", "--models", str(tiny_models), "--concurrency", "1", "2")
    files = ("--json", str(report), "--plot", str(plot))
    assert main(["bench", image, *flags, *SHORT, *files]) == 0
    assert "2 callers" in capsys.readouterr().out
    one, two = json.loads(report.read_text())
    assert (one["concurrency"], two["concurrency"]) == (1, 2)
    assert one["codes"] == {"OK": one["requests"]}
    assert 0 < one["latency_ms"]["p50"] <= one["latency_ms"]["p99"] <= one["latency_ms"]["p100"]
    assert one["server_cpu_ms"] > 0
    # Nothing is sent in this process.
    assert one["request_bytes"] is None and one["sent_bytes_per_second"] is None
    with Image.open(plot) as drawn:
        assert drawn.size == (960, 600)


@pytest.mark.slow
def test_a_server_on_this_machine_is_measured(
    image: str, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    code = main(["bench", image, "--server", server, "--rate", "20", *SHORT, "--json", str(report)])
    assert code == 0
    (measured,) = json.loads(report.read_text())
    assert measured["rate"] == 20
    assert measured["codes"]["OK"] == measured["requests"] > 0
    # The server is this process, which the command finds by its port.
    assert measured["server_cpu_ms"] > 0
    assert "20/s" in capsys.readouterr().out


def test_streams_to_a_server_are_measured_with_the_bytes_of_their_messages(
    image: str, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    flags = ("--stream", "1", "--window", "3", "--json", str(report))
    assert main(["bench", image, "--server", server, *flags, *SHORT]) == 0
    (measured,) = json.loads(report.read_text())
    assert (measured["streams"], measured["window"], measured["concurrency"]) == (1, 3, None)
    assert measured["codes"] == {"OK": measured["requests"]}
    # A request is the image and a few fields.
    assert 0 < measured["request_bytes"] - Path(image).stat().st_size < 100
    assert 0 < measured["response_bytes"] < 1000
    assert measured["sent_bytes_per_second"] > measured["results_per_second"] * Path(image).stat().st_size / 2
    assert "1 stream" in capsys.readouterr().out


@pytest.mark.parametrize("kept", [False, True])
def test_a_server_that_keeps_responses_is_told_from_others(
    image: str, tiny_models: Path, kept: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ServerSettings(
        host="127.0.0.1",
        port=0,
        models=[tiny_models],
        profile_seconds=0,
        response_cache_bytes=1024 * 1024 if kept else 0,
    )
    server = Server(settings)
    server.start()
    try:
        assert main(["bench", image, "--server", f"127.0.0.1:{server.port}", "--rate", "20", *SHORT]) == 0
    finally:
        server.stop(grace=0)

    assert ("the server has a response cache" in capsys.readouterr().err) == kept


def test_a_request_that_cannot_succeed_ends_the_command_at_once(
    image: str, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", image, "--server", server, "--model", "nothing", "--seconds", "60"]) == 1
    assert "nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), "--in-process"),
        (("--server", "localhost:1", "--models", "folder"), "--models needs --in-process"),
        (("--in-process", "--percentile", "101"), "at most 100"),
        (("--in-process", "--concurrency", "0"), "whole number"),
        (("--in-process", "--rate", "5", "--concurrency", "2"), "not allowed"),
        (("--in-process", "--rate", "nan"), "positive number"),
    ],
)
def test_invalid_flags_are_named(
    flags: tuple[str, ...], expected: str, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["bench", image, *flags])
    except SystemExit as ended:
        code = int(ended.code or 0)
    assert code == 2
    assert expected in capsys.readouterr().err


def test_a_search_without_a_rate_that_keeps_the_latency_fails(
    image: str, tiny_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--in-process", "--models", str(tiny_models), "--search", "0.001")
    assert main(["bench", image, *flags, "--seconds", "0.2", "--warm-up", "0", "--percentile", "50"]) == 1
    assert "no rate keeps 50 % of the results within 0.001 ms" in capsys.readouterr().err
