"""`spyglass attach-heatmap` reports a mistake in one line, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from spyglass_cli.flags.heatmap import heatmap_errors_with_flags
from spyglass_export.gradcam import Advice, FeatureMapError, HeatmapError, ScoresError, attach_gradcam

MISTAKES: dict[str, tuple[dict[str, Any], tuple[object, ...], str, str]] = {
    "classes": ({}, (), "cat\ndog", "has 3 classes, but there are 2 class names"),
    "size": ({}, ("--size", "9"), "", "takes 6x8 pixels, not 9x9"),
    "batch of 4": (
        {"batch": 4, "reshape": (2, 2, 4)},
        (),
        "",
        "takes 4 images at a time; export it with a dynamic batch",
    ),
    "mean": (
        {},
        ("--mean", "1", "2"),
        "",
        "mean must have one number, or one for each of the network's 3 channels, not 2",
    ),
    "std": ({}, ("--std", "0"), "", "scale and std must not be 0"),
    "output": ({}, ("--scores", "z"), "", "has no output 'z'; its outputs are y"),
    "feature map": (
        {},
        ("--feature-map", "mean"),
        "",
        "a feature map must hold numbers for several heights and widths",
    ),
    "golden": ({}, ("--golden", "nowhere"), "", "nowhere is not a folder of images"),
    "crop of a stretch": (
        {},
        ("--crop-fraction", "0.9", "--resize", "stretch"),
        "",
        "stretch keeps the whole image",
    ),
    "empty class": ({}, (), "cat\n\nbird", "line 2 of"),
    "layout": ({}, ("--layout", "nhwc"), "", "does not fit --layout nhwc: the channels must be 1 or 3"),
    "heatmap and none": ({}, ("--no-heatmap", "--method", "eigencam"), "", "leave out --no-heatmap"),
    "version": ({}, ("--out", "models/theirs"), "", "must end in NAME/VERSION"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_error_names_the_mistake_and_no_file_is_written(
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


def test_a_network_with_an_output_for_each_pixel_is_rejected(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(classifier().write(tmp_path / "theirs.onnx"))
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 4, 6, 8])
    )
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx") == 1
    assert "must hold one number for each class" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_a_file_that_is_not_onnx_and_a_file_that_is_not_an_image_are_rejected(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.onnx").write_bytes(b"no model")
    assert attach(tmp_path / "text.onnx") == 1
    assert "is not an ONNX model" in capsys.readouterr().err
    (tmp_path / "empty.onnx").touch()
    assert attach(tmp_path / "empty.onnx") == 1
    assert "empty.onnx is not an ONNX model: it contains no network" in capsys.readouterr().err
    (tmp_path / "golden/notes.txt").write_text("about the images")
    assert attach(classifier().write(tmp_path / "theirs.onnx")) == 2
    assert "golden image notes.txt" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_an_existing_version_is_overwritten_only_with_force(
    classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    file = classifier().write(tmp_path / "theirs.onnx")
    assert attach(file) == 0
    before = written()[2]
    assert attach(file, "--scale", "1/255") == 1
    np.testing.assert_array_equal(written()[2], before)
    assert attach(file, "--scale", "1/255", "--force") == 0
    assert np.abs(written()[2] - before).max() > 1e-3


def test_a_network_that_already_has_a_heatmap_is_rejected(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = classifier().write(tmp_path / "theirs.onnx")
    for method, name in (("gradcam", "output heatmap;"), ("scorecam", "output heatmap_features;")):
        onnx.save(attach_gradcam(onnx.load(file), method=method).model, tmp_path / "explained.onnx")
        assert attach(tmp_path / "explained.onnx") == 1
        message = capsys.readouterr().err
        assert "already has a heatmap" in message and name in message
    assert attach(file) == 0
    written = tmp_path / "models/theirs/1/model.onnx"
    assert attach(written, "--out", tmp_path / "models/again/1") == 1
    assert "is already a Spyglass model" in capsys.readouterr().err
    assert not (tmp_path / "models/again").exists()


def test_a_missing_gradient_is_reported_with_flags_of_the_command(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(classifier().write(tmp_path / "theirs.onnx"))
    model.graph.node[-1].output[0] = "product"
    model.graph.node.append(helper.make_node("Mod", ["seven", "product"], ["y"], fmod=1))
    model.graph.initializer.append(helper.make_tensor("seven", TensorProto.FLOAT, [], [7.0]))
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx", "--scale", "1/255") == 1
    message = capsys.readouterr().err
    assert "no gradient through" in message
    assert "; choose --method eigencam or scorecam" in message
    assert "feature_map=" not in message and "method=" not in message
    for method in ("eigencam", "scorecam"):
        assert attach(tmp_path / "theirs.onnx", "--scale", "1/255", "--method", method, "--force") == 0


def test_several_outputs_are_reported_with_the_flag_for_scores(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(classifier().write(tmp_path / "theirs.onnx"))
    model.graph.output.append(helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["n", 4]))
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx") == 1
    assert "has several outputs: y, mean; name the output of class scores with --scores" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("advice", Advice)
def test_the_command_line_has_no_python_arguments_in_its_advice(advice: Advice) -> None:
    with pytest.raises(HeatmapError) as caught, heatmap_errors_with_flags():
        raise ScoresError("the problem", advice)
    assert caught.value.message.startswith("the problem") and "=" not in caught.value.message
    assert ("--" in caught.value.message) is (advice is not Advice.EARLIER_SCORES)


def test_a_missing_feature_map_is_reported_with_the_flag_for_no_heatmap() -> None:
    with pytest.raises(HeatmapError) as caught, heatmap_errors_with_flags():
        raise FeatureMapError("there is none")
    assert caught.value.message == "there is none; make a model without heatmaps with --no-heatmap"


def test_an_error_of_onnx_runtime_becomes_one_sentence(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(classifier().write(tmp_path / "theirs.onnx"))
    model.ir_version = 99
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx") == 1
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(
        "spyglass attach-heatmap: ONNX Runtime cannot load the network: Unsupported model IR version: 99"
    )
