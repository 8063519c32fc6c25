"""`spyglass explain --check`: its report, and its errors."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spyglass_cli import main as spyglass
from spyglass_cli.flags.extras import MissingExtra, require

Draw = Callable[[int, int], NDArray[np.uint8]]


class Ended(NamedTuple):
    code: int
    output: str
    errors: str


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Run the command in this process."""
    monkeypatch.delenv("SPYGLASS_SERVER", raising=False)

    def run(*arguments: object) -> Ended:
        code = spyglass.main(["explain", "--check", *map(str, arguments)])
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture
def images(tmp_path: Path, textured: Draw) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name, top in (("a", 2), ("b", 18)):
        Image.fromarray(textured(top, 3)[:, :, 0]).save(folder / f"{name}.png")
    return folder


def _numbers(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text())


def test_the_report_has_every_number_and_its_plots(
    check: Callable[..., Ended], images: Path, texture_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "why/report"
    ended = check(images, "--file", texture_file, "--out", out, "--steps", 8, "--seed", 5)
    assert (ended.code, ended.errors) == (0, "")
    assert "deletion better than chance in 2 of 2" in ended.output
    found = _numbers(out)
    assert (found["steps"], found["seed"], found["skipped"]) == (8, 5, [])
    assert found["model"]["method"] == "gradcam" and len(found["model"]["sha256"]) == 64
    assert [each["class_name"] for each in found["images"]] == ["texture", "texture"]
    for each in found["images"]:
        assert {len(curves["deletion"]) for curves in each["curves"].values()} == {9}
    means = [each["curves"]["heatmap"]["insertion_auc"] for each in found["images"]]
    assert found["mean_auc"]["insertion"]["heatmap"] == pytest.approx(np.mean(means))
    assert [stage["layers"] for stage in found["randomisation"]] == [1, 2]
    report = (out / "report.md").read_text()
    for name in ("curves.png", "randomisation.png", "maps.png"):
        assert f"({name})" in report
        with Image.open(out / name) as plot:
            assert min(plot.size) > 60
    assert "beaten in 2 of 2" in report and str(images / "a.png") in report


@pytest.mark.slow
def test_the_same_seed_gives_the_same_report(
    check: Callable[..., Ended], images: Path, texture_file: Path, tmp_path: Path
) -> None:
    for number, seed in enumerate((7, 7, 8)):
        check(images, "--file", texture_file, "--out", tmp_path / f"{number}", "--steps", 4, "--seed", seed)
    first, second, other = (_numbers(tmp_path / f"{number}") for number in range(3))
    assert first == second
    assert first["images"] != other["images"]


def test_a_broken_image_is_reported_and_left_out(
    check: Callable[..., Ended], images: Path, texture_file: Path, tmp_path: Path
) -> None:
    (images / "broken.jpg").write_bytes(b"\xff\xd8\xff this is no JPEG")
    out = tmp_path / "report"
    ended = check(images, "--file", texture_file, "--out", out, "--steps", 4)
    assert ended.code == 1
    assert "broken.jpg" in ended.errors
    found = _numbers(out)
    assert len(found["images"]) == 2
    assert [Path(each["path"]).name for each in found["skipped"]] == ["broken.jpg"]
    assert "broken.jpg" in (out / "report.md").read_text()


def test_a_report_that_cannot_be_written_is_an_error_before_the_work(
    check: Callable[..., Ended], images: Path, texture_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    ended = check(images, "--file", texture_file, "--out", tmp_path / "file")
    assert (ended.code, ended.output) == (1, "")
    assert "File exists" in ended.errors


def test_an_image_with_a_name_that_is_not_text_is_in_the_report(
    check: Callable[..., Ended], images: Path, texture_file: Path, tmp_path: Path
) -> None:
    (images / "a.png").rename(images / os.fsdecode(b"\xff.png"))
    out = tmp_path / "report"
    assert check(images, "--file", texture_file, "--out", out, "--steps", 2).code == 0
    assert r"\udcff.png" in (out / "report.md").read_text()


def test_without_a_readable_image_there_is_no_report(
    check: Callable[..., Ended], texture_file: Path, tmp_path: Path
) -> None:
    ended = check(tmp_path / "none.jpg", "--file", texture_file, "--out", tmp_path / "report")
    assert ended.code == 1 and "none.jpg" in ended.errors
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--server", "localhost:1", "--out", "r"], "leave out --server"),
        ([], "--out"),
        (["--out", "r", "--class", "texture"], "--class"),
        (["--out", "r", "--top-k", "3"], "--top-k"),
        (["--out", "r", "--file", "m.onnx", "--model", "imagenet"], "not both"),
    ],
)
def test_invalid_combinations_of_flags_are_rejected(
    check: Callable[..., Ended], flags: list[str], words: str
) -> None:
    ended = check("image.png", *flags)
    assert ended.code == 2
    assert words in ended.errors


@pytest.mark.parametrize("flags", [["--steps", "4"], ["--seed", "0"], ["--file", "m.onnx"]], ids=str)
def test_options_of_the_check_are_rejected_without_check(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert spyglass.main(["explain", "image.png", *flags]) == 2
    assert f"{flags[0]} is for --check" in capsys.readouterr().err


def test_an_unknown_model_and_a_file_that_is_not_a_model_are_errors(
    check: Callable[..., Ended], images: Path, tmp_path: Path
) -> None:
    assert "no model 'nothing'" in check(images, "--model", "nothing", "--out", tmp_path / "r").errors
    (tmp_path / "text.onnx").write_text("no model")
    ended = check(images, "--file", tmp_path / "text.onnx", "--out", tmp_path / "r")
    assert ended.code == 1 and "ONNX Runtime" in ended.errors


def test_a_model_without_a_heatmap_is_rejected(
    check: Callable[..., Ended], explaining_models: Path, images: Path, tmp_path: Path
) -> None:
    plain = explaining_models / "plain/1/model.onnx"
    ended = check(images, "--file", plain, "--out", tmp_path / "r")
    assert ended.code == 1 and "no heatmap to check" in ended.errors


def test_a_missing_extra_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MissingExtra):
        require("checking", "no_such_plotting_library")
    assert "[checking]'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_check_runs_on_the_bundled_model(
    check: Callable[..., Ended], repository_root: Path, tmp_path: Path
) -> None:
    examples = [repository_root / "examples" / name for name in ("chelsea.jpg", "coffee.jpg")]
    ended = check(*examples, "--out", tmp_path / "report", "--steps", 12)
    assert ended.code == 0
    found = _numbers(tmp_path / "report")
    assert [each["class_name"] for each in found["images"]] == ["tiger cat", "espresso"]
    coffee = found["images"][1]["curves"]
    for baseline in ("chance", "centre"):
        assert coffee["heatmap"]["insertion_auc"] > coffee[baseline]["insertion_auc"]
    assert found["randomisation"][-1]["layers"] == 50
    assert all(abs(stage["mean_rank_correlation"] or 0) < 0.9 for stage in found["randomisation"])
