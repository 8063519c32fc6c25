"""What cannot be adopted is said in a line, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from spyglass_export.gradcam import attach_gradcam

MISTAKES: dict[str, tuple[dict[str, Any], tuple[object, ...], str, str]] = {
    "classes": ({}, (), "cat\ndog", "tells 3 classes apart, but 2 are named"),
    "size": ({}, ("--size", "9"), "", "takes 6x8 pixels, not 9x9"),
    "fixed batch": ({"batch": 1, "reshape": (4,)}, (), "", "answers one image at a time only"),
    "batch of 4": ({"batch": 4}, (), "", "takes 4 images at a time; export it with a dynamic batch"),
    "mean": ({}, ("--mean", "1", "2"), "", "2 numbers, where the network has 3 channels"),
    "std": ({}, ("--std", "0"), "", "scale and std not 0"),
    "output": ({}, ("--scores", "z"), "", "'z' is no output of the network; its outputs are y"),
    "feature map": ({}, ("--feature-map", "mean"), "", "is not spatial"),
    "golden": ({}, ("--golden", "nowhere"), "", "nowhere is no folder of images"),
    "crop of a stretch": (
        {},
        ("--crop-fraction", "0.9", "--resize", "stretch"),
        "",
        "stretch keeps the whole image",
    ),
    "empty class": ({}, (), "cat\n\nbird", "line 2 of"),
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


@pytest.mark.parametrize(
    "flags",
    [
        ("--size", "0"),
        ("--size", "6x8x3"),
        ("--scale", "1/0"),
        ("--std", "x"),
        ("--crop-fraction", "0"),
        ("--crop-fraction", "1.5"),
    ],
)
def test_a_flag_with_an_invalid_number_ends_with_2(
    flags: tuple[str, str], attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        attach(tmp_path / "theirs.onnx", *flags)
    message = capsys.readouterr().err
    assert ended.value.code == 2
    assert f"argument {flags[0]}: must be " in message and f", not {flags[1]}\n" in message


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


def test_what_is_no_onnx_file_and_what_is_no_image_are_named(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.onnx").write_bytes(b"no model")
    assert attach(tmp_path / "text.onnx") == 1
    assert "is not an ONNX model" in capsys.readouterr().err
    (tmp_path / "empty.onnx").touch()
    assert attach(tmp_path / "empty.onnx") == 1
    assert "empty.onnx is not an ONNX model: there is no network in it" in capsys.readouterr().err
    (tmp_path / "golden/notes.txt").write_text("about the images")
    assert attach(classifier().write(tmp_path / "theirs.onnx")) == 1
    assert "golden image notes.txt" in capsys.readouterr().err
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


def test_a_file_that_explains_itself_already_is_told_so(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = classifier().write(tmp_path / "theirs.onnx")
    for method, name in (("gradcam", "output heatmap;"), ("scorecam", "output heatmap_features;")):
        onnx.save(attach_gradcam(onnx.load(file), method=method), tmp_path / "explained.onnx")
        assert attach(tmp_path / "explained.onnx") == 1
        message = capsys.readouterr().err
        assert "has a heatmap already" in message and name in message
    assert attach(file) == 0
    written = tmp_path / "models/theirs/1/model.onnx"
    assert attach(written, "--out", tmp_path / "models/again/1") == 1
    assert "is a Spyglass model already" in capsys.readouterr().err
    assert not (tmp_path / "models/again").exists()


def test_a_head_without_a_gradient_is_told_in_the_commands_own_flags(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(classifier().write(tmp_path / "theirs.onnx"))
    model.graph.node[-1].output[0] = "product"
    model.graph.node.append(helper.make_node("Mod", ["product", "seven"], ["y"], fmod=1))
    model.graph.initializer.append(helper.make_tensor("seven", TensorProto.FLOAT, [], [7.0]))
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx", "--scale", "1/255") == 1
    message = capsys.readouterr().err
    assert "no gradient through" in message
    assert "--feature-map, or --method eigencam or scorecam" in message
    assert "feature_map=" not in message and "method=" not in message
    for method in ("eigencam", "scorecam"):
        assert attach(tmp_path / "theirs.onnx", "--scale", "1/255", "--method", method, "--force") == 0


def test_several_outputs_are_told_with_the_flag_that_chooses(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(classifier().write(tmp_path / "theirs.onnx"))
    model.graph.output.append(helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["n", 4]))
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx") == 1
    assert "has the outputs y, mean; name the one that holds the class scores with --scores" in (
        capsys.readouterr().err
    )


def test_what_onnx_runtime_says_is_one_sentence_about_the_network(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(classifier().write(tmp_path / "theirs.onnx"))
    model.ir_version = 99
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx") == 1
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(
        "spyglass attach-heatmap: ONNX Runtime does not load the network: Unsupported model IR version: 99"
    )
