"""A real server process with models on a web server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server_process import ServerProcess
from spyglass_client import Client
from tiny_classifier import tiny_card, write_tiny_model
from web_folder import WebFolder, web_folder

pytestmark = pytest.mark.slow


@pytest.fixture
def web(tiny_models: Path) -> Iterator[WebFolder]:
    with web_folder(tiny_models) as folder:
        yield folder


def test_a_server_starts_again_from_its_copies_without_the_repository(
    web: WebFolder,
    tmp_path: Path,
    spawn_server: Callable[..., ServerProcess],
    color_image: Callable[[str], bytes],
) -> None:
    flags = ("--models", web.url, "--model-cache", str(tmp_path / "copies"))
    for refused in (False, True):
        if refused:
            web.refuse("/models.json", 503)
        server = spawn_server(*flags)
        server.wait_until_serving()
        with Client(server.address) as client:
            assert client.classify(color_image("red")).classes[0].name == "red"
        server.end()
    assert web.gets["/colors/1/model.onnx"] == 1
    assert any("cannot be reached: status 503; the server uses its copies" in line for line in server.log)


def ended(*flags: str) -> tuple[int, str]:
    """Run a server that cannot start; return its exit code and log."""
    command = [sys.executable, "-m", "spyglass_cli", "serve", "--port", "0", *flags]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return run.returncode, run.stderr


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("{web}/nowhere", "there is no {web}/nowhere"),
        ("http://me:s3cret@127.0.0.1:9/x", "http://127.0.0.1:9/x/models.json cannot be reached"),
        ("nothing://s3cret@bucket", "no installed package opens nothing://"),
        ("file:///dev/null", "file:///dev/null has no file NAME/VERSION/model.onnx"),
        ("{web}/colors", "{web}/colors has no file NAME/VERSION/model.onnx"),
    ],
)
def test_a_server_that_cannot_read_its_models_ends_with_one_line(
    web: WebFolder, tmp_path: Path, url: str, problem: str
) -> None:
    code, log = ended("--models", url.format(web=web.url), "--model-cache", str(tmp_path / "copies"))
    assert code == 1
    assert problem.format(web=web.url) in log
    assert "Traceback" not in log
    assert "s3cret" not in log


def test_a_cache_folder_that_cannot_be_used_ends_the_start(web: WebFolder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, log = ended("--models", web.url, "--model-cache", str(tmp_path / "file"))
    assert code == 1
    assert "set --model-cache to a folder that this user may write to" in log
    assert "Traceback" not in log


def test_worker_processes_download_once(
    web: WebFolder,
    tmp_path: Path,
    spawn_server: Callable[..., ServerProcess],
    color_image: Callable[[str], bytes],
) -> None:
    server = spawn_server(
        "--models", web.url, "--model-cache", tmp_path / "copies", "--workers", "2", "--concurrency", "1"
    )
    server.wait_until_serving()
    with Client(server.address) as client:
        assert client.classify(color_image("blue")).classes[0].name == "blue"
    server.end()
    assert web.gets["/colors/1/model.onnx"] == 1


def test_a_server_ends_in_the_middle_of_a_download(
    tmp_path: Path,
    spawn_server: Callable[..., ServerProcess],
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    write_tiny_model(tmp_path / "web", tiny_card())
    with web_folder(tmp_path / "web") as web:
        server = spawn_server(
            "--models", web.url, "--model-cache", tmp_path / "copies", "--poll-seconds", "0.1"
        )
        server.wait_until_serving()
        path = "/colors/2/model.onnx"
        web.stalled[path] = 100
        write_tiny_model(tmp_path / "web", tiny_card(version=2))
        eventually(lambda: web.gets[path] > 0)
        server.process.terminate()
        assert server.wait_until_ended() == 0
    assert not any("Traceback" in line or "ERROR" in line for line in server.log)
