"""`spyglass dataset` makes folders that training reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from spyglass.v1.model_pb2 import InputSpec
from spyglass_cli.main import main
from spyglass_training.datasets.formats import class_folders, pets

WriteCrops = Callable[..., list[Path]]


def test_make_subset_copies_images_and_prints_the_counts(
    tmp_path: Path, spec: InputSpec, write_crops: WriteCrops, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in ("cat", "dog"):
        write_crops("cat", tmp_path / "all", [f"{label}.{index}.jpg" for index in range(6)])
    sizes = ["--train", "3", "--validation", "1", "--test", "2"]
    words = ["dataset", "make-subset", str(tmp_path / "all"), "--out", str(tmp_path / "small"), *sizes]
    assert main(words) == 0
    assert "6 to train, 2 to validation, 4 to test" in capsys.readouterr().out
    assert len(class_folders.load(tmp_path / "small", spec).train) == 6
    assert main(words) == 2
    assert "not empty" in capsys.readouterr().err


def test_the_flags_of_compose_have_their_effect(
    tmp_path: Path, spec: InputSpec, write_crops: WriteCrops, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cutouts").mkdir()
    for name in "abcdefghij":
        cutout = Image.new("RGBA", (40, 40))
        ImageDraw.Draw(cutout).rectangle((5, 5, 34, 34), fill="red")
        cutout.save(tmp_path / f"cutouts/{name}.png")
    write_crops("cup", tmp_path / "backgrounds", [f"{name}.jpg" for name in "abcdefghij"])
    folders = [f"--{name}={tmp_path / name}" for name in ("cutouts", "backgrounds", "out")]
    options = ["--images=10", "--size=48", "--max-objects=1", "--contour=0", "--seed=4"]
    assert main(["dataset", "compose", *folders, *options, "--name=Squares", "--licence=CC0"]) == 0
    assert "7 to train, 1 to validation, 2 to test" in capsys.readouterr().out
    dataset = pets.load(tmp_path / "out", spec)
    assert (dataset.record.name, dataset.record.licence) == ("Squares", "CC0")
    with Image.open(tmp_path / "out/images/train_00000.jpg") as image:
        assert image.size == (48, 48)
    # Without a contour.
    assert set(dataset.train.labels.ravel().tolist()) == {0, 1}


@pytest.mark.parametrize("words", [["compose"], ["make-subset", "x", "--out", "y", "--train", "0"], []])
def test_invalid_usage_is_rejected(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dataset", *words])
    assert ended.value.code == 2
