"""`spyglass inspect` on a network that was trained for a moment, and on an exported one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")

from spyglass_cli.main import main
from spyglass_contract.run_folder import RunFolder

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


def test_every_drawing_is_written_and_named(
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
    words = ("--data", digits_file, "--pictures", 60, "--thumbnails", "--out", out / "e.png")
    assert inspect("embedding", run, *words) == 0
    printed = capsys.readouterr().out
    assert "5 sheets, 01_conv1.png to 05_conv3.png" in printed and "4 filters of conv2" in printed
    assert "h.png: 7 (" in printed and "60 pictures of the test part" in printed
    for name in ("maps/01_conv1.png", "f.png", "h.png", "e.png"):
        with Image.open(out / name) as drawn:
            assert drawn.format == "PNG"


def test_what_cannot_be_done_is_said_in_a_line(
    trained_run: RunFolder, digit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspect("augment", trained_run.path, digit, "--out", tmp_path / "a.png") == 1
    assert "no augmentation" in capsys.readouterr().err
    assert inspect("heatmap", trained_run.path, digit, "--class", "ten", "--out", tmp_path / "h.png") == 1
    assert "no class 'ten'" in capsys.readouterr().err
    assert inspect("summary", tmp_path / "nowhere.onnx") == 1
    with pytest.raises(SystemExit):
        inspect("filters", trained_run.path, "--out", tmp_path / "f.png")
