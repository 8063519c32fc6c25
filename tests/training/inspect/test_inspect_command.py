"""`spyglass inspect` on a briefly trained network, and on an exported one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")

from spyglass_cli.main import main
from spyglass_contract.model.run_folder import RunFolder

pytestmark = [pytest.mark.training, pytest.mark.slow]


@pytest.fixture
def digit(digits_file: Path, tmp_path: Path) -> Path:
    with np.load(digits_file) as arrays:
        Image.fromarray(arrays["x_test"][0]).save(tmp_path / "digit.png")
    return tmp_path / "digit.png"


def inspect(*words: object) -> int:
    return main(["inspect", *(str(word) for word in words)])


def test_the_summary_of_a_run_and_of_its_export_agree(
    trained_run: RunFolder, repository_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspect("summary", trained_run.path) == 0
    of_run = capsys.readouterr().out
    assert inspect("summary", repository_root / "models/mnist-convnet/1/model.onnx") == 0
    of_file = capsys.readouterr().out
    for table in (of_run, of_file):
        assert "93,322" in table and "2,794,240" in table and "18×18" in table
    assert "26×26×32" in of_run and "32×26×26" in of_file


def test_every_drawing_is_written_and_its_path_printed(
    trained_run: RunFolder,
    digits_file: Path,
    digit: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, out = trained_run.path, tmp_path / "out"
    assert inspect("activations", run, digit, "--out", out / "maps") == 0
    assert (
        inspect("filters", run, "--layer", "conv2", "--filters", 4, "--steps", 2, "--out", out / "f.png") == 0
    )
    assert inspect("heatmap", run, digit, "--class", "7", "--layer", "conv3", "--out", out / "h.png") == 0
    words = ("--data", digits_file, "--images", 60, "--thumbnails", "--out", out / "e.png")
    assert inspect("embedding", run, *words) == 0
    printed = capsys.readouterr().out
    assert "5 sheets, 01_conv1.png to 05_conv3.png" in printed and "4 filters of conv2" in printed
    assert "h.png: 7 (" in printed and "60 images of the test part" in printed
    for name in ("maps/01_conv1.png", "f.png", "h.png", "e.png"):
        with Image.open(out / name) as drawn:
            assert drawn.format == "PNG"


@pytest.fixture(scope="module")
def augmenting_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its own seed on images without parts; one image cannot be read."""
    folder = tmp_path_factory.mktemp("dots")
    random = np.random.default_rng(0)
    for label in ("dark", "light"):
        (folder / "data" / label).mkdir(parents=True)
        for index in range(20):
            pixels = random.integers(0, 100, (12, 12, 3)) + (100 if label == "light" else 0)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "data" / label / f"{index}.png")
    (folder / "data/dark/3.png").write_bytes(b"no image")
    words = f"train small-resnet --data {folder}/data --out {folder}/run --cache {folder}/cache --size 12"
    options = "--seed 5 --epochs 1 --augment part --skip-corrupt"
    assert main([*words.split(), *options.split()]) == 0
    return folder


def test_the_embedding_shows_the_test_part_of_the_run(
    augmenting_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = list((augmenting_run / "cache").iterdir())
    data = ("--data", augmenting_run / "data", "--cache", augmenting_run / "cache")
    words = ("embedding", augmenting_run / "run", *data, "--seed", 1, "--out", tmp_path / "e.png")
    assert inspect(*words) == 2
    assert "dark/3.png" in capsys.readouterr().err
    assert inspect(*words, "--skip-corrupt") == 0
    assert "8 images of the test part" in capsys.readouterr().out
    # The parts and their order are those of the run, or the cache would have another table.
    assert list((augmenting_run / "cache").iterdir()) == kept and len(kept) == 1


def test_a_sheet_of_augmented_versions_is_written(
    augmenting_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (augmenting_run / "run", augmenting_run / "data/light/0.png", "--count", 8)
    for name in ("one", "two"):
        assert inspect("augment", *words, "--seed", 2, "--out", tmp_path / f"{name}.png") == 0
    assert "augmented as" in capsys.readouterr().out
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as sheet:
        assert sheet.format == "PNG" and len(np.unique(np.asarray(sheet.convert("L")))) > 50


def test_an_unknown_layer_is_rejected_with_similar_names(
    trained_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", tmp_path / "f.png")
    assert inspect("filters", trained_run.path, "--layer", "conv9", *out) == 1
    error = capsys.readouterr().err
    assert "no layer 'conv9'; similar: conv" in error and "`spyglass inspect summary` lists them all" in error
    assert inspect("filters", trained_run.path, "--layer", "zzz", *out) == 1
    assert "its last ones: " in capsys.readouterr().err


def test_a_file_that_is_not_a_network_is_rejected_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"no network")
    assert inspect("summary", tmp_path / "photo.jpg") == 1
    assert "photo.jpg is not a .keras file" in capsys.readouterr().err
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("text", "no network either")
    assert inspect("summary", tmp_path / "other.keras") == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_impossible_inspections_are_rejected_in_one_line(
    trained_run: RunFolder, digit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspect("augment", trained_run.path, digit, "--out", tmp_path / "a.png") == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert "no augmentation" in error
    assert inspect("heatmap", trained_run.path, digit, "--class", "ten", "--out", tmp_path / "h.png") == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert "no class 'ten'" in error
    assert inspect("summary", tmp_path / "nowhere.onnx") == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert "nowhere.onnx" in error
    with pytest.raises(SystemExit):
        inspect("filters", trained_run.path, "--out", tmp_path / "f.png")
