"""`spyglass segment`: its files and its output, with a server and without."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spyglass_cli import main as spyglass
from spyglass_cli.asking.outcomes import Outcome, Outcomes
from spyglass_cli.flags.extras import install_hint
from spyglass_cli.output.mask_files import MaskFiles
from spyglass_client import Client, Failure

Segment = Callable[..., tuple[int, str, str]]

# In the image of the fixture `square`, 64 × 48 pixels: left, top, right, bottom.
BOX = (16, 12, 48, 36)
RED, BLUE = 1, 3


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Segment:
    """Run `spyglass segment` in this process, without a server; return exit code, output and errors."""

    def segment(*arguments: str) -> tuple[int, str, str]:
        try:
            code = spyglass.main(["segment", *arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
        return (code, *capsys.readouterr())

    return segment


@pytest.fixture
def segment(run: Segment, segmenting_server: str) -> Segment:
    """Run `spyglass segment` with a server."""
    return lambda *arguments: run(*arguments, "--server", segmenting_server)


@pytest.fixture
def segment_locally(run: Segment, segmenting_models: Path, monkeypatch: pytest.MonkeyPatch) -> Segment:
    """Run `spyglass segment` without a server, with the models of the server as the bundled ones."""
    monkeypatch.setattr("spyglass_server.engine.models.bundled.bundled_models", lambda: segmenting_models)
    return lambda *arguments: run(*arguments, "--model", "stretch")


@pytest.fixture
def square(folder: Path, square_image: Callable[..., Image.Image]) -> Image.Image:
    """square.png in the working directory: a red box on blue."""
    image = square_image((64, 48), BOX)
    image.save(folder / "square.png")
    return image


@pytest.fixture
def spots(folder: Path, square_image: Callable[..., Image.Image]) -> None:
    """spots.png in the working directory: a red box with a blue hole, and a small red one beside it."""
    image = square_image((64, 48), (4, 4, 36, 36))
    image.paste((0, 0, 255), (16, 16, 24, 24))
    image.paste((255, 0, 0), (48, 8, 56, 16))
    image.save(folder / "spots.png")


def inside(box: tuple[int, int, int, int] = BOX) -> Any:
    """bool [48, 64]."""
    left, top, right, bottom = box
    mask = np.zeros((48, 64), bool)
    mask[top:bottom, left:right] = True
    return mask


def test_an_overlay_is_written_beside_its_image(
    segment: Segment, square: Image.Image, segmenting_server: str
) -> None:
    code, output, errors = segment("square.png")
    with Client(segmenting_server) as client:
        expected = client.segment("square.png").overlay()
    assert (code, errors) == (0, "")
    assert output.endswith("\nsquare.mask.jpg\n")
    with Image.open("square.mask.jpg") as written:
        assert written.format == "JPEG"
        # JPEG is not exact, but every pixel has nearly the same place and colour.
        assert np.abs(np.asarray(written, int) - np.asarray(expected, int)).mean() < 12


def test_a_mask_is_a_palette_png_of_the_images_size(segment: Segment, square: Image.Image) -> None:
    code, _, _ = segment("square.png", "--kind", "mask", "--out", "new/masks")
    with Image.open("new/masks/square.mask.png") as written:
        assert (code, written.mode) == (0, "P")
        np.testing.assert_array_equal(np.asarray(written), np.where(inside(), RED, BLUE))


def test_a_cutout_has_one_class_and_is_transparent_elsewhere(segment: Segment, square: Image.Image) -> None:
    segment("square.png", "--kind", "cutout", "--class", "red")
    with Image.open("square.cutout.png") as written:
        pixels = np.asarray(written)
    assert (pixels[inside()] == (255, 0, 0, 255)).all()
    assert not pixels[~inside()].any()


def test_a_soft_cutout_is_as_opaque_as_the_class_is_probable(segment: Segment, square: Image.Image) -> None:
    segment("square.png", "--kind", "cutout", "--class", str(RED), "--soft")
    with Image.open("square.cutout.png") as written:
        opacity = np.asarray(written)[24, :, 3].astype(int)
    assert (opacity[20:44] == 255).all()
    assert (opacity[:12] == 0).all()
    assert 0 < opacity[15] < 128 < opacity[16] < 255


def test_refinements_of_a_class_are_applied(segment: Segment, spots: None) -> None:
    def red_pixels(*options: str) -> int:
        about = ("--class", "red") if options else ()
        _, output, _ = segment("spots.png", "--format", "json", *about, *options)
        (record,) = json.loads(output)
        (red,) = (entry for entry in record["classes"] if entry["name"] == "red")
        return int(red["pixels"])

    box, hole, small = 32 * 32, 8 * 8, 8 * 8
    # Interpolation of probabilities rounds the corners of the region.
    assert red_pixels() == pytest.approx(box - hole + small, abs=16)
    assert red_pixels("--largest") == pytest.approx(box - hole, abs=16)
    assert red_pixels("--largest", "--fill-holes") == pytest.approx(box, abs=16)


def test_the_table_has_the_part_of_the_image_of_each_class(segment: Segment, square: Image.Image) -> None:
    _, output, _ = segment("square.png")
    lines = [line.split() for line in output.splitlines()]
    assert ["image", "class", "fraction", "pixels", "mean", "score"] in lines
    (blue,) = (line for line in lines if line[:2] == ["square.png", "blue"])
    (red,) = (line for line in lines if line[:1] == ["red"])
    assert blue[2:4] == ["75.0%", "2,304"]
    assert red[1:3] == ["25.0%", "768"]
    assert "stretch:1" in output


def test_csv_has_a_row_for_each_class_that_occurs(segment: Segment, square: Image.Image) -> None:
    _, output, _ = segment("square.png", "missing.png", "--format", "csv")
    blue, red, missing = csv.DictReader(io.StringIO(output))
    assert (blue["class"], blue["index"], blue["fraction"], blue["pixels"]) == (
        "blue",
        "3",
        "0.750000",
        "2304",
    )
    assert (red["class"], red["model"], red["file"]) == ("red", "stretch", "square.mask.jpg")
    assert 0.9 < float(red["mean_score"]) <= 1
    assert red["color"].startswith("#")
    assert missing["error"].startswith("IMAGE_UNREADABLE")


def test_json_has_the_classes_and_the_path_of_the_file(segment: Segment, square: Image.Image) -> None:
    _, output, _ = segment("square.png", "--kind", "mask", "--format", "jsonl")
    record = json.loads(output)
    assert record["path"] == "square.png"
    assert {entry["name"]: entry["fraction"] for entry in record["classes"]} == {"red": 0.25, "blue": 0.75}
    assert record["mask"] == {"width": 64, "height": 48, "path": "square.mask.png"}


def test_failures_in_a_folder_are_reported_and_the_other_masks_are_written(
    segment: Segment, folder: Path
) -> None:
    code, _, errors = segment("images", "--out", "masks")
    assert code == 1
    assert "images/broken.jpg" in errors
    assert sorted(path.name for path in Path("masks").iterdir()) == ["blue.mask.jpg", "red.mask.jpg"]


def test_a_second_run_over_a_folder_skips_the_files_of_the_first(segment: Segment, folder: Path) -> None:
    cut = ("--kind", "cutout", "--class", "red")
    outputs = [
        segment("images", "--format", "jsonl", *options)[1] for options in ((), ("--kind", "mask"), cut, ())
    ]
    paths = [[json.loads(line)["path"] for line in output.splitlines()] for output in outputs]
    assert all(Path(f"images/red{end}").is_file() for end in (".mask.jpg", ".mask.png", ".cutout.png"))
    assert paths[0] == paths[3]


def test_images_of_one_name_do_not_overwrite_each_others_masks(segment: Segment, folder: Path) -> None:
    Path("images/more/red.png").write_bytes(Path("images/red.png").read_bytes())
    segment("images/red.png", "images/more/red.png", "--out", "masks")
    assert sorted(path.name for path in Path("masks").iterdir()) == ["red-2.mask.jpg", "red.mask.jpg"]


def test_images_of_one_folder_under_two_names_do_not_overwrite_each_others_masks(
    segment: Segment, square: Image.Image, folder: Path
) -> None:
    square.save("square.bmp")
    segment("square.png", str(Path("square.bmp").absolute()))
    assert sorted(path.name for path in Path().glob("*.mask.*")) == ["square-2.mask.jpg", "square.mask.jpg"]


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_a_file_that_cannot_be_written_fails_and_the_other_images_are_segmented(
    segment: Segment, folder: Path, format: str
) -> None:
    Path("masks/blue.mask.jpg").mkdir(parents=True)
    code, output, _ = segment("images", "--out", "masks", "--format", format)
    records = json.loads(output) if format == "json" else [json.loads(line) for line in output.splitlines()]
    errors = {Path(record["path"]).name: record.get("error", {}).get("reason") for record in records}
    assert code == 1
    assert errors == {"red.png": None, "blue.png": "FILE_NOT_WRITTEN", "broken.jpg": "IMAGE_CORRUPT"}
    assert Path("masks/red.mask.jpg").is_file()


@pytest.mark.parametrize("options", [(), ("--soft",), ("--largest",)])
def test_an_unknown_class_fails_with_a_hint(
    segment: Segment, square: Image.Image, options: tuple[str, ...]
) -> None:
    code, _, errors = segment("square.png", "--kind", "cutout", "--class", "redd", *options)
    assert code == 1
    assert "did you mean 'red'" in errors
    assert not Path("square.cutout.png").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--kind", "cutout"),
        ("--largest",),
        ("--fill-holes",),
        ("--class", "red", "--soft"),
        ("--class", "red"),
        ("--kind", "mask", "--class", "red"),
        ("--top-k", "3"),
        ("--out", "square.png"),
    ],
)
def test_invalid_options_are_usage_errors(
    segment: Segment, square: Image.Image, options: tuple[str, ...]
) -> None:
    code, output, errors = segment("square.png", *options)
    assert (code, output) == (2, "")
    assert errors


def test_without_a_server_the_bundled_models_have_the_same_results(
    segment_locally: Segment, segment: Segment, spots: None
) -> None:
    options = ("spots.png", "--kind", "mask", "--format", "json", "--class", "red", "--largest")
    code, output, errors = segment_locally(*options, "--out", "here")
    _, theirs, _ = segment(*options, "--out", "there")
    (mine,), (served,) = json.loads(output), json.loads(theirs)
    assert (code, errors) == (0, "no server given: using the bundled models in this process\n")
    assert mine["classes"] == served["classes"]
    assert Path("here/spots.mask.png").read_bytes() == Path("there/spots.mask.png").read_bytes()


def test_without_the_package_for_refinements_the_error_names_it(
    segment_locally: Segment, square: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    code, _, errors = segment_locally("square.png", "--class", "red", "--largest")
    assert code == 2
    assert install_hint("server") in errors
    assert segment_locally("square.png", "--kind", "cutout", "--class", "red")[0] == 0


def test_a_soft_cutout_is_the_same_without_a_server(
    segment_locally: Segment, segment: Segment, square: Image.Image
) -> None:
    options = ("square.png", "--kind", "cutout", "--class", "red", "--soft", "--out")
    segment_locally(*options, "here")
    segment(*options, "there")
    with Image.open("here/square.cutout.png") as mine, Image.open("there/square.cutout.png") as served:
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(served))


def test_without_a_bundled_segmentation_model_the_error_says_so(
    run: Segment, tiny_models: Path, square: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spyglass_server.engine.models.bundled.bundled_models", lambda: tiny_models)
    code, _, errors = run("square.png")
    assert code == 1
    assert "square.png: the server has no default model to segment with" in errors


def test_a_mask_that_cannot_be_decoded_is_a_failure_and_leaves_no_file(
    square: Image.Image, segmenting_server: str
) -> None:
    with Client(segmenting_server) as client:
        sound = client.segment("square.png")
    broken = replace(sound, png=sound.png[:-30])

    def outcomes() -> Outcomes:
        yield Outcome("square.png", broken)

    for kind in ("mask", "overlay", "cutout"):
        (outcome,) = MaskFiles(kind, target=RED).save_all(outcomes())
        assert isinstance(outcome.result, Failure)
        assert outcome.result.error.reason == "REPLY_INVALID"
    assert not list(Path().glob("square.*.*"))
