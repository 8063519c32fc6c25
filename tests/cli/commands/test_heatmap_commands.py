"""`spyglass explain` and `classify-image --heatmap`: the files and the output that they write."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spyglass_cli import main as spyglass
from spyglass_client import Client

Classify = Callable[..., Any]


@pytest.fixture
def explain(
    capsys: pytest.CaptureFixture[str], explaining_server: str
) -> Callable[..., tuple[int, str, str]]:
    """Run `spyglass explain` in this process; return exit code, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = spyglass.main(["explain", *arguments, "--server", explaining_server])
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def gradient(folder: Path, gradient_image: Image.Image) -> Path:
    path = folder / "gradient.png"
    gradient_image.save(path)
    return path


def test_a_heatmap_is_written_beside_its_image(explain: Any, gradient: Path, explaining_server: str) -> None:
    code, output, errors = explain("gradient.png", "--class", "red")
    with Client(explaining_server) as client:
        expected = client.heatmap(gradient, target="red").overlay()
    assert (code, errors) == (0, "")
    assert "gradient.heatmap.jpg: red" in output
    with Image.open("gradient.heatmap.jpg") as written:
        assert written.format == "JPEG"
        # JPEG is not exact, but every pixel has nearly the same place and colour.
        assert np.abs(np.asarray(written, int) - np.asarray(expected, int)).mean() < 6


def test_heatmaps_of_a_folder_go_under_out_and_failures_are_reported(explain: Any, folder: Path) -> None:
    code, _, errors = explain("images", "--out", "why/not")
    assert code == 1
    assert sorted(path.name for path in Path("why/not").iterdir()) == ["blue.heatmap.jpg", "red.heatmap.jpg"]
    assert "images/broken.jpg" in errors


def test_each_requested_class_has_its_heatmap(explain: Any, gradient: Path) -> None:
    code, output, _ = explain(
        "gradient.png", "--class", "red", "--class", "1", "--format", "json", "--top-k", "1"
    )
    (result,) = json.loads(output)
    assert code == 0
    assert [(each["target"]["name"], each["path"]) for each in result["heatmaps"]] == [
        ("red", "gradient.heatmap-0.jpg"),
        ("green", "gradient.heatmap-1.jpg"),
    ]
    assert all(Path(each["path"]).is_file() for each in result["heatmaps"])


def test_csv_has_the_path_in_the_row_of_the_class(explain: Any, gradient: Path) -> None:
    _, output, _ = explain(
        "gradient.png", "--class", "red", "--class", "blue", "--format", "csv", "--top-k", "2"
    )
    rows = {row["class"]: (row["rank"], row["heatmap"]) for row in csv.DictReader(io.StringIO(output))}
    assert rows["red"][1] == "gradient.heatmap-0.jpg"
    assert rows["green"][1] == ""
    assert rows["blue"] == ("", "gradient.heatmap-2.jpg")


def test_images_of_one_name_do_not_overwrite_each_others_heatmaps(explain: Any, folder: Path) -> None:
    Path("images/more/red.png").write_bytes(Path("images/red.png").read_bytes())
    explain("images/red.png", "images/more/red.png", "--out", "why")
    assert sorted(path.name for path in Path("why").iterdir()) == ["red-2.heatmap.jpg", "red.heatmap.jpg"]


def test_a_second_run_over_a_folder_skips_the_heatmaps_of_the_first(explain: Any, folder: Path) -> None:
    first = explain("images", "--format", "jsonl")
    second = explain("images", "--format", "jsonl")
    paths = [[json.loads(line)["path"] for line in output.splitlines()] for _, output, _ in (first, second)]
    assert Path("images/red.heatmap.jpg").is_file()
    assert paths[0] == paths[1]


def test_an_unknown_class_fails_with_a_hint(explain: Any, gradient: Path) -> None:
    code, _, errors = explain("gradient.png", "--class", "gren")
    assert code == 1
    assert "did you mean 'green'" in errors


def test_classify_image_writes_one_heatmap_as_a_file_of_any_format(
    classify: Classify, gradient: Path, explaining_server: str
) -> None:
    done = classify("gradient.png", "--heatmap", "new/why.png", "--server", explaining_server)
    assert done.code == 0
    assert "new/why.png" in done.output
    with Image.open("new/why.png") as written:
        assert written.format == "PNG"


@pytest.mark.parametrize("spelling", ["gradient.png", "./images/../gradient.png", "link.png", "hard.png"])
def test_an_image_is_not_overwritten_by_its_own_heatmap(
    classify: Classify, gradient: Path, explaining_server: str, spelling: str
) -> None:
    Path("link.png").symlink_to("gradient.png")
    Path("hard.png").hardlink_to("gradient.png")
    before, files = gradient.read_bytes(), sorted(gradient.parent.rglob("*"))
    done = classify("gradient.png", "--heatmap", spelling, "--server", explaining_server)
    assert (done.code, done.output) == (2, "")
    assert "must not be the image itself" in done.errors
    assert gradient.read_bytes() == before and sorted(gradient.parent.rglob("*")) == files


def test_an_image_behind_a_link_is_not_overwritten_by_its_own_heatmap(
    classify: Classify, gradient: Path, explaining_server: str
) -> None:
    Path("link.png").symlink_to("gradient.png")
    before = gradient.read_bytes()
    done = classify("link.png", "--heatmap", str(gradient), "--server", explaining_server)
    assert done.code == 2 and gradient.read_bytes() == before


def test_an_output_format_that_cannot_be_written_creates_no_folder_of_that_name(
    classify: Classify, gradient: Path, explaining_server: str
) -> None:
    done = classify("gradient.png", "--heatmap", "new/why.gif", "--server", explaining_server)
    assert done.code == 2 and "a file that ends in one of .jpg" in done.errors
    assert not Path("new").exists()


def test_classify_image_writes_heatmaps_into_a_folder(
    classify: Classify, folder: Path, explaining_server: str
) -> None:
    done = classify("images", "--heatmap", "why", "--format", "jsonl", "--server", explaining_server)
    results = [json.loads(line) for line in done.output.splitlines()]
    assert [result.get("heatmaps", [{}])[0].get("path") for result in results] == [
        None,
        "why/red.heatmap.jpg",
        "why/blue.heatmap.jpg",
    ]


def test_classify_image_alone_writes_no_heatmap(
    classify: Classify, gradient: Path, explaining_server: str
) -> None:
    done = classify("gradient.png", "--format", "json", "--server", explaining_server)
    assert "heatmaps" not in json.loads(done.output)[0]
    assert not list(gradient.parent.glob("*.heatmap*"))


def test_the_error_of_a_model_without_heatmaps_says_how_to_attach_one(
    classify: Classify, gradient: Path, explaining_server: str
) -> None:
    done = classify("gradient.png", "--heatmap", "why", "--model", "plain", "--server", explaining_server)
    assert done.code == 1
    assert "spyglass adopt" in done.errors


def test_without_a_server_the_bundled_model_explains(
    classify: Classify, folder: Path, repository_root: Path
) -> None:
    coffee = repository_root / "examples/coffee.jpg"
    done = classify(str(coffee), "--heatmap", "why.png", "--format", "json", "--top-k", "1")
    (result,) = json.loads(done.output)
    with Image.open("why.png") as written, Image.open(coffee) as image:
        overlay, plain = np.asarray(written, int), np.asarray(image.convert("RGB"), int)
    assert done.errors == "no server given: using the bundled models in this process\n"
    assert result["heatmaps"][0]["target"]["name"] == "espresso"
    # The coffee in the cup is red; the left edge, outside of the model's crop, has the blue of zero.
    tint = overlay - 0.6 * plain
    assert tint[140, 290, 0] > 50
    assert tint[140, 290, 2] < 5
    np.testing.assert_allclose(tint[:, :60].mean(axis=(0, 1)), (0, 0, 0.4 * 128), atol=1.5)
