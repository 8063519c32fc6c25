"""`spyglass baseline` and `spyglass models drift`: from a folder of images to a table."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spyglass_cli.main import main
from spyglass_client import Client
from spyglass_contract.model.card import card_from_metadata
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings

onnx = pytest.importorskip("onnx")


@pytest.fixture
def photos(tmp_path: Path, encode: Callable[..., bytes]) -> Path:
    """A folder with 60 images of three colours, and a file that is no image."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number in range(60):
        color = ("red", "lime", "blue")[number % 3]
        place = folder / ("more" if number % 2 else ".") / f"{number}.png"
        place.write_bytes(encode(Image.new("RGB", (8, 8), color), "PNG"))
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture
def model(make_model: Callable[[], Path]) -> Path:
    """The file of the model `colors`, with a file in another precision beside it."""
    file = make_model()
    shutil.copy(file, file.with_name("model.int8.onnx"))
    return file


@pytest.fixture
def serve(model: Path) -> Iterator[Callable[..., str]]:
    """Start a server of the model: `serve(statistics=True)`."""
    started: list[Server] = []

    def start(**settings: object) -> str:
        fields = {"host": "localhost", "port": 0, "models": [model.parents[2]], "profile_seconds": 0}
        started.append(Server(ServerSettings(**{**fields, **settings})))
        started[-1].start()
        return f"localhost:{started[-1].port}"

    yield start
    for each in started:
        each.stop(grace=0)


def test_a_baseline_and_what_a_server_sees_are_compared(
    model: Path,
    photos: Path,
    serve: Callable[..., str],
    encode: Callable[..., bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["baseline", str(model.parent), str(photos)]) == 0
    captured = capsys.readouterr()
    assert "a baseline of 60 images" in captured.out
    assert "broken.jpg: the file is not an image" in captured.err
    assert "model.int8.onnx belonged to the file without a baseline" in captured.err
    assert not model.with_name("model.int8.onnx").exists()

    server = serve(statistics=True)
    with Client(server) as client:
        assert client.model("colors").seen is None
        for _ in range(100):
            client.classify(encode(Image.new("RGB", (8, 8), "red"), "PNG"))

    assert main(["models", "drift", "colors", "--server", server]) == 0
    printed = capsys.readouterr().out
    assert "colors:1: 100 images of late, against a baseline of 60" in printed
    assert "red: 33.3% of the baseline, 100.0% of late" in printed
    assert main(["models", "drift", "colors", "--server", server, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    verdicts = {each["quantity"]: each["verdict"] for each in found["quantities"]}
    assert (found["baseline_images"], found["seen_images"]) == (60, 100)
    assert verdicts["class"] == "shifted" and verdicts["format"] == verdicts["pixels"] == "stable"
    assert main(["models", "show", "colors", "--server", server]) == 0
    assert "60 images" in capsys.readouterr().out


def test_a_card_without_a_baseline_has_no_drift(
    serve: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "drift", "colors", "--server", serve(statistics=True)]) == 1
    assert "`spyglass baseline` writes one" in capsys.readouterr().err


def test_a_server_without_statistics_has_no_drift(
    model: Path, photos: Path, serve: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["baseline", str(model), str(photos)]) == 0
    assert main(["models", "drift", "colors", "--server", serve()]) == 1
    assert "--statistics" in capsys.readouterr().err


def test_too_few_images_change_nothing(model: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = model.read_bytes()
    assert main(["baseline", str(model), str(photos / "more")]) == 2
    assert "there are 30 images that can be read; a baseline needs at least 50" in capsys.readouterr().err
    assert main(["baseline", str(model), str(photos / "missing")]) == 2
    assert "expected one with images" in capsys.readouterr().err
    assert model.read_bytes() == before


def test_a_baseline_needs_a_model(tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", str(tmp_path), str(photos)]) == 1
    assert "is not an ONNX file" in capsys.readouterr().err


@pytest.mark.training
def test_a_data_set_in_a_file_gives_its_test_part(
    tmp_path: Path, make_model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("keras")
    chance = np.random.default_rng(0)
    parts = {"train": 12, "test": 60}
    images = {
        f"x_{part}": chance.integers(0, 256, (count, 28, 28), np.uint8) for part, count in parts.items()
    }
    labels = {f"y_{part}": np.arange(count) % 10 for part, count in parts.items()}
    np.savez(tmp_path / "digits.npz", **images, **labels)
    model = make_model()

    assert main(["baseline", str(model), str(tmp_path / "digits.npz")]) == 0

    assert "a baseline of 60 images" in capsys.readouterr().out
    card = card_from_metadata({each.key: each.value for each in onnx.load(model).metadata_props})
    assert card.baseline.images == 60
    # An array has no files.
    assert {each.quantity for each in card.baseline.histograms} == {"score", "class", "entropy", "brightness"}
