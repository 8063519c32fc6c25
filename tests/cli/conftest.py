"""A real server with the tiny model of colours, and a folder of images to classify."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from spyglass_cli.commands import classify_image
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings


@pytest.fixture(scope="session")
def server(tiny_models: Path) -> Iterator[str]:
    """HOST:PORT of a server of the model `colors`."""
    started = Server(ServerSettings(host="127.0.0.1", port=0, models=tiny_models, profile_seconds=0))
    started.start()
    yield f"127.0.0.1:{started.port}"
    started.stop(grace=0)


@pytest.fixture
def folder(tmp_path: Path, color_image: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with images/red.png, images/more/blue.png and images/broken.jpg."""
    (tmp_path / "images/more").mkdir(parents=True)
    (tmp_path / "images/red.png").write_bytes(color_image("red"))
    (tmp_path / "images/more/blue.png").write_bytes(color_image("blue"))
    (tmp_path / "images/broken.jpg").write_bytes(b"\xff\xd8\xff this is no JPEG")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def no_server_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPYGLASS_SERVER", raising=False)


@dataclass(frozen=True)
class Finished:
    """The exit code and the output of a command."""

    code: int
    output: str
    errors: str


@pytest.fixture
def classify(capsys: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Run `classify-image` in this process."""

    def run(*arguments: str) -> Finished:
        try:
            code = classify_image.main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Finished(code, *capsys.readouterr())

    return run
