"""`spyglass quantise`, and a server that serves its file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnx")

from quantisable import colored_images, write_convolutions
from spyglass_cli.main import main
from spyglass_client import Client
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings
from tiny_classifier import tiny_card

# In the order in which folders are read.
NAMES = ("crimson", "green", "lapis")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of 60 images without labels."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index, pixels in enumerate(colored_images(60)[0]):
        Image.fromarray(pixels).save(folder / f"{index}.png")
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set of folders: 30 images to train and 60 to test, in a folder for each class."""
    pixels, labels = colored_images(90, seed=3)
    for index in range(90):
        part = "train" if index < 30 else "test"
        folder = tmp_path / "data" / part / NAMES[labels[index]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[index]).save(folder / f"{index}.png")
    return tmp_path / "data"


def test_a_folder_of_images_gives_the_agreement(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_convolutions(tmp_path / "models")
    flags = ("--calibration-images", "20", "--held-out-images", "40")

    assert main(["quantise", str(file.parent), "--calibration", str(images), *flags]) == 0

    printed = capsys.readouterr()
    assert file.with_name("model.int8.onnx").is_file()
    assert "kept classes: 100.00% on 40 held-out images; at least 99.00% must be kept" in printed.out
    assert "accuracy" not in printed.out
    assert "per channel, min-max: 100.00% of 40 images keep their class" in printed.err
    assert "only 40 held-out images: what int8 keeps is known to 2.5%" in printed.err


def test_a_data_set_gives_the_accuracy_on_its_test_part(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = tiny_card()
    card.class_names[:] = NAMES
    file = write_convolutions(tmp_path / "models", card)

    assert main(["quantise", str(file), "--calibration", str(data)]) == 0

    printed = capsys.readouterr()
    assert "kept classes: 100.00% on 60 held-out images" in printed.out
    assert "accuracy: 100.00% in int8, 100.00% in fp32; it may fall by 0.5 points" in printed.out
    assert "other classes" not in printed.err


def test_a_data_set_of_other_classes_gives_the_agreement(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_convolutions(tmp_path / "models")

    assert main(["quantise", str(file), "--calibration", str(data)]) == 0

    printed = capsys.readouterr()
    assert "the data set has other classes than the model, or in another order" in printed.err
    assert "kept classes: 100.00% on 60 held-out images" in printed.out
    assert "accuracy" not in printed.out


def test_a_refusal_ends_the_command_and_writes_nothing(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_convolutions(tmp_path / "models", outlier=1e5)

    assert main(["quantise", str(file.parent), "--calibration", str(images)]) == 1

    assert "int8 is refused:" in capsys.readouterr().err
    assert [path.name for path in file.parent.iterdir()] == ["model.onnx"]


def test_a_lower_tolerance_is_a_flag_and_is_stated(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_convolutions(tmp_path / "models", outlier=1e5)
    flags = ("--least-agreement", "0.01", "--no-held-out")

    assert main(["quantise", str(file.parent), "--calibration", str(images), *flags]) == 0

    printed = capsys.readouterr().out
    assert "at least 1.00% must be kept" in printed
    assert "it may lose more than usual" in printed
    assert not file.with_name("held_out.npz").exists()


def test_too_few_images_are_refused(tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_convolutions(tmp_path / "models")
    for path in list(images.glob("*.png"))[12:]:
        path.unlink()

    assert main(["quantise", str(file.parent), "--calibration", str(images)]) == 1
    assert "int8 must be compared on at least 10: pass more images" in capsys.readouterr().err


def test_a_broken_image_is_named(tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_convolutions(tmp_path / "models")
    (images / "broken.jpg").write_bytes(b"\xff\xd8\xff this is no JPEG")

    assert main(["quantise", str(file.parent), "--calibration", str(images)]) == 2
    assert "broken.jpg: " in capsys.readouterr().err


@pytest.mark.parametrize("command", ["export", "adopt"])
def test_int8_needs_images(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    rest = {"export": ["run"], "adopt": ["net.onnx", "--classes", "names.txt", "--size", "8x8"]}[command]

    assert main([command, *rest, "--out", "models/a/1", "--precision", "int8"]) != 0
    assert "--precision int8 needs images: pass --calibration DATA" in capsys.readouterr().err


@pytest.fixture
def int8_server(int8_model: Callable[..., Path]) -> Iterator[str]:
    """HOST:PORT of a server that answers in int8."""
    models = int8_model(heatmap=True).parents[2]
    server = Server(ServerSettings(host="127.0.0.1", port=0, models=models, precision="int8"))
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop(grace=0)


def test_every_response_says_the_precision(int8_server: str) -> None:
    image = Image.fromarray(colored_images(1)[0][0])
    with Client(int8_server) as client:
        assert client.classify(np.asarray(image)).model.precision == "int8"
        assert client.heatmap(np.asarray(image)).model.precision == "fp32"


def test_the_models_of_a_server_show_the_precision(
    int8_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "list", "--server", int8_server]) == 0
    assert "int8" in capsys.readouterr().out
    assert main(["models", "show", "colors", "--server", int8_server]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "precision int8, per channel, " in shown
    assert "at least 99.00% must be kept" in shown
    assert main(["models", "show", "colors", "--server", int8_server, "--format", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["served"]["precision"] == "int8"
    assert printed["card"]["reduced_precision"]["held_out_images"] == 40
