"""What cannot be adopted is said in a line, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

MISTAKES: dict[str, tuple[dict[str, Any], tuple[object, ...], str, str]] = {
    "classes": ({}, (), "cat\ndog", "tells 3 classes apart, but 2 are named"),
    "size": ({}, ("--size", "9"), "", "takes 6x8 pixels, not 9x9"),
    "fixed batch": ({"batch": 1, "reshape": (1, 4)}, (), "", "answers one picture at a time only"),
    "batch of 4": ({"batch": 4}, (), "", "takes 4 pictures at a time; export it with a dynamic batch"),
    "mean": ({}, ("--mean", "1", "2"), "", "2 numbers, where the network has 3 channels"),
    "std": ({}, ("--std", "0"), "", "scale and std not 0"),
    "output": ({}, ("--scores", "z"), "", "the network's are y"),
    "feature map": ({}, ("--feature-map", "mean"), "", "is not spatial"),
    "golden": ({}, ("--golden", "nowhere"), "", "nowhere is no folder of pictures"),
    "version": ({}, ("--out", "models/theirs"), "", "does not end in NAME/VERSION"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_and_nothing_is_written(
    classifier: Any,
    mistake: str,
    attach: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options, flags, classes, message = MISTAKES[mistake]
    file = classifier().write(tmp_path / "theirs.onnx", **options)
    assert attach(file, *flags, classes=classes or "cat\ndog\nbird") in (1, 2)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("flags", [("--size", "0"), ("--size", "6x8x3"), ("--scale", "1/0"), ("--std", "x")])
def test_a_flag_that_is_no_number_ends_with_2(
    flags: tuple[str, str], attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        attach(tmp_path / "theirs.onnx", *flags)
    assert ended.value.code == 2 and f"argument {flags[0]}: '{flags[1]}' is no" in capsys.readouterr().err


def test_a_network_that_answers_for_each_pixel_is_refused(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(classifier().write(tmp_path / "theirs.onnx"))
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 4, 6, 8])
    )
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx") == 1
    assert "does not hold one number for each class" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_what_is_no_onnx_file_and_what_is_no_picture_are_named(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.onnx").write_bytes(b"no model")
    assert attach(tmp_path / "text.onnx") == 1
    assert "is not an ONNX model" in capsys.readouterr().err
    (tmp_path / "golden/notes.txt").write_text("about the pictures")
    assert attach(classifier().write(tmp_path / "theirs.onnx")) == 1
    assert "golden picture notes.txt" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_a_version_that_is_there_is_overwritten_only_by_force(
    classifier: Any, attach: Callable[..., int], answer: Callable[[], Any], tmp_path: Path
) -> None:
    file = classifier().write(tmp_path / "theirs.onnx")
    assert attach(file) == 0
    before = answer()[2]
    assert attach(file, "--scale", "1/255") == 1
    np.testing.assert_array_equal(answer()[2], before)
    assert attach(file, "--scale", "1/255", "--force") == 0
    assert np.abs(answer()[2] - before).max() > 1e-3
