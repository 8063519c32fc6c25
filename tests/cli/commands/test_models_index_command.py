"""`spyglass models index`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spyglass_cli.main import main


def test_the_index_of_a_folder_is_written(
    make_model: Callable[[], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model()
    folder = model.parents[2]
    for _ in range(2):
        assert main(["models", "index", str(folder)]) == 0
        assert capsys.readouterr().out == f"{folder}/models.json: versions: 1, files: 1\n"
    (version,) = json.loads((folder / "models.json").read_text())["models"]
    assert (version["name"], version["files"][0]["bytes"]) == ("colors", model.stat().st_size)


@pytest.mark.parametrize(
    ("folder", "problem"),
    [("nowhere", "cannot be read: No such file"), (".", "has no file NAME/VERSION/model.onnx")],
)
def test_a_folder_without_models_is_one_line(
    folder: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "index", str(tmp_path / folder)]) == 1
    printed = capsys.readouterr().err
    assert problem in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "models.json").exists()


def test_a_folder_that_cannot_be_written_is_one_line(
    make_model: Callable[[], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_model().parents[2]
    (folder / "models.json").mkdir()
    assert main(["models", "index", str(folder)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
