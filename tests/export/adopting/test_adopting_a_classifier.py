"""An adopted classifier returns for pixels what it returned for its own input, with heatmaps."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from plain_softmax import softmax
from spyglass.v1.model_pb2 import COLOR_MODE_GREY, COLOR_MODE_RGB
from spyglass_contract.model.card import card_from_metadata
from spyglass_server import local_client

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGENET = ("--scale", "1/255", "--mean", *MEAN, "--std", *STD)
Array = np.ndarray[Any, Any]


def normalised(pixels: Array) -> Array:
    return ((pixels / 255 - MEAN) / STD).transpose(0, 3, 1, 2)


def test_logits_of_normalised_channels_first_become_probabilities_of_pixels(
    classifier: Any,
    attach: Callable[..., int],
    written: Callable[[], Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    theirs = classifier()
    file = theirs.write(tmp_path / "theirs.onnx")
    assert attach(file, *IMAGENET, "--licence", "CC0-1.0", "--resize", "stretch") == 0
    assert "2 golden images and 16 tensors differ from" in capsys.readouterr().out
    card, pixels, found, _ = written()
    np.testing.assert_allclose(found, softmax(theirs.logits(normalised(pixels))), atol=1e-5)
    assert found.std(axis=0).min() > 1e-4
    assert list(card.class_names) == ["cat", "dog", "bird"] and card.explained_layer == "features"
    assert card.input.color_mode == COLOR_MODE_RGB and card.provenance.licence == "CC0-1.0"
    assert card.certificate.reference.startswith("onnxruntime ") and card.certificate.max_abs_diff < 1e-6


def test_an_adopted_classifier_is_served_with_heatmaps(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, chelsea: bytes
) -> None:
    assert attach(classifier().write(tmp_path / "theirs.onnx"), *IMAGENET) == 0
    with local_client(tmp_path / "models") as client:
        answered = client.classify(chelsea, model="theirs")
        found = client.heatmap(chelsea, model="theirs", target=0, further=[1, 2])
    assert sum(score.score for score in answered.classes) == pytest.approx(1, abs=1e-5)
    maps = [each.feature_map for each in found.explained]
    assert [one.size for one in maps] == [6 * 8] * 3
    assert any(one.max() == 1 for one in maps) and found.layer == "features"


def test_channels_are_fed_in_the_order_bgr_if_chosen(
    classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    theirs, mean = classifier(), (103.9, 116.8, 123.7)
    flags = ("--mean", *mean, "--std", "50", "--channel-order", "bgr")
    assert attach(theirs.write(tmp_path / "theirs.onnx"), *flags) == 0
    _, pixels, found, _ = written()
    images = ((pixels[..., ::-1] - np.array(mean)) / 50).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=1e-5)


@pytest.mark.parametrize("ending", ["", "Softmax", "LogSoftmax"])
@pytest.mark.parametrize("names", [("x", "y"), ("image", "probabilities")])
def test_channels_last_and_any_ending_give_the_same_probabilities(
    classifier: Any,
    ending: str,
    names: tuple[str, str],
    attach: Callable[..., int],
    written: Callable[[], Any],
    tmp_path: Path,
) -> None:
    theirs = classifier(names=names)
    file = theirs.write(tmp_path / "theirs.onnx", ending=ending, channels_last=True)
    assert attach(file, "--scale", "1/255") == 0
    _, pixels, found, heatmaps = written()
    images = pixels.transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=1e-5)
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(images, 1), atol=1e-4)


@pytest.mark.parametrize("ending", ["", "Sigmoid"])
def test_a_single_output_for_grey_images_becomes_two_probabilities(
    classifier: Any, ending: str, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    theirs = classifier(channels=1, columns=1)
    file = theirs.write(tmp_path / "theirs.onnx", ending=ending)
    assert attach(file, "--scale", "1/64", classes="sound\ndefective") == 0
    card, pixels, found, _ = written()
    second = 1 / (1 + np.exp(-theirs.logits(pixels.transpose(0, 3, 1, 2) / 64)))
    np.testing.assert_allclose(found, np.concatenate([1 - second, second], 1), atol=1e-5)
    assert card.input.color_mode == COLOR_MODE_GREY


def test_a_softmax_of_smaller_operators_is_not_mistaken_for_logits(
    classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    theirs = classifier()
    model = onnx.load(theirs.write(tmp_path / "theirs.onnx", ending="Exp"))
    model.graph.node[-1].output[0] = "exponentials"
    model.graph.node.extend(
        [
            helper.make_node("ReduceSum", ["exponentials", "axis"], ["sum"]),
            helper.make_node("Div", ["exponentials", "sum"], ["y"]),
        ]
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "axis"))
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx", "--scale", "1/255") == 0
    _, pixels, found, heatmaps = written()
    images = pixels.transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=1e-5)
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(images, 1), atol=1e-4)


def test_a_declared_batch_of_one_becomes_dynamic(
    classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    theirs = classifier()
    assert attach(theirs.write(tmp_path / "theirs.onnx", batch=1), *IMAGENET) == 0
    _, pixels, found, _ = written()
    np.testing.assert_allclose(found, softmax(theirs.logits(normalised(pixels))), atol=1e-5)


def test_a_flag_names_the_scores_among_several_outputs(
    classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    theirs = classifier()
    model = onnx.load(theirs.write(tmp_path / "theirs.onnx"))
    model.graph.output.append(helper.make_tensor_value_info("mean", onnx.TensorProto.FLOAT, ["n", 4]))
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx", *IMAGENET) == 1
    assert attach(tmp_path / "theirs.onnx", *IMAGENET, "--scores", "y") == 0
    _, pixels, found, _ = written()
    np.testing.assert_allclose(found, softmax(theirs.logits(normalised(pixels))), atol=1e-5)


def test_the_heatmap_flags_reach_the_written_file(
    classifier: Any, attach: Callable[..., int], tmp_path: Path
) -> None:
    file = classifier().write(tmp_path / "theirs.onnx")
    flags = ("--feature-map", "convolved", "--method", "layercam", "--probability-gradient")
    assert attach(file, *IMAGENET, *flags) == 0
    model = onnx.load(tmp_path / "models/theirs/1/model.onnx")
    (heatmap,) = (value for value in model.graph.output if value.name == "heatmap")
    card = card_from_metadata({entry.key: entry.value for entry in model.metadata_props})
    assert (card.heatmap_method, card.explained_score) == ("layercam", "probability")
    assert heatmap.doc_string == "layercam of 'convolved', gradient of the probability 'probabilities'"


def test_an_adopted_classifier_gets_a_file_in_int8(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, images = classifier().write(tmp_path / "theirs.onnx"), tmp_path / "images"
    images.mkdir()
    for index, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (40, 6, 8, 3), np.uint8)):
        Image.fromarray(pixels).save(images / f"{index}.png")
    flags = ("--precision", "int8", "--calibration", images, "--least-agreement", 0.5)

    assert attach(file, *IMAGENET, *flags) == 0

    folder = tmp_path / "models/theirs/1"
    assert {path.name for path in folder.iterdir()} == {"model.onnx", "model.int8.onnx", "held_out.npz"}
    assert "heatmaps: computed by the model file beside it, in fp32" in capsys.readouterr().out
    model = onnx.load(folder / "model.int8.onnx")
    card = card_from_metadata({entry.key: entry.value for entry in model.metadata_props})
    assert card.reduced_precision.precision == "int8" and not card.explained_layer
    # A new file makes the files of the earlier one useless.
    assert attach(file, *IMAGENET, "--force") == 0
    assert [path.name for path in folder.iterdir()] == ["model.onnx"]


def test_neither_tensorflow_nor_keras_is_imported(classifier: Any, tmp_path: Path) -> None:
    file = classifier().write(tmp_path / "theirs.onnx")
    (tmp_path / "names.txt").write_text("cat\ndog\nbird")
    (tmp_path / "golden").mkdir()
    Image.linear_gradient("L").save(tmp_path / "golden/gradient.png")
    arguments = ["attach-heatmap", str(file), "--classes", "names.txt", "--golden", "golden", "--size", "6x8"]
    check = (
        "import sys; from spyglass_cli.main import main\n"
        f"code = main({[*arguments, '--out', 'models/theirs/1']!r})\n"
        "heavy = {'tensorflow', 'keras', 'tf2onnx', 'torch', 'spyglass_training'}.intersection(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else code)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", check], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "models/theirs/1/model.onnx").exists()


def test_an_adopted_classifier_is_explained_by_score_cam(
    classifier: Any,
    attach: Callable[..., int],
    tmp_path: Path,
    chelsea: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert attach(classifier().write(tmp_path / "theirs.onnx"), *IMAGENET, "--method", "scorecam") == 0
    assert "heatmaps explain features (scorecam, of the logit)" in capsys.readouterr().out
    with local_client(tmp_path / "models") as client:
        answered = client.classify(chelsea, model="theirs")
        found = client.heatmap(chelsea, model="theirs", target=0, further=[1, 2])
    assert found.classes == answered.classes and found.layer == "features"
    maps = [each.feature_map for each in found.explained]
    assert all(values.size == 48 and values.max() == 1 for values in maps)
    assert not np.allclose(maps[0], maps[1], atol=0.01)


def test_without_golden_images_noise_certifies_and_that_is_said(
    classifier: Any,
    attach: Callable[..., int],
    written: Callable[[], Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The shortest command: no --golden, no --scale, and the model file as --out."""
    theirs = classifier()
    file, out = theirs.write(tmp_path / "theirs.onnx"), tmp_path / "models/theirs/1/model.onnx"
    assert attach(file, "--mean", *MEAN, "--std", *STD, "--out", out, images=False) == 0
    printed = capsys.readouterr()
    assert "2 images of noise and 16 tensors differ from" in printed.out
    assert "pixels are divided by 255 first" in printed.err and "no --golden" in printed.err
    card, pixels, found, _ = written()
    np.testing.assert_allclose(found, softmax(theirs.logits(normalised(pixels))), atol=1e-5)
    assert len(card.certificate.images) == 2 and card.certificate.heatmaps == 6
    with local_client(tmp_path / "models") as client:
        assert client.classify(card.certificate.images[0].encoded, model="theirs")


@pytest.mark.parametrize(
    ("flags", "scale"),
    [
        ((), 1),
        (("--mean", "0", "--std", "1"), 1),
        (("--std", "0.5"), 1 / 255),
        (("--mean", "120", "--std", "60"), 1),
        (("--mean", "0.5", "--std", "0.5", "--scale", "1/64"), 1 / 64),
    ],
)
def test_the_default_scale_follows_from_mean_and_std(
    classifier: Any,
    flags: tuple[str, ...],
    scale: float,
    attach: Callable[..., int],
    written: Callable[[], Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    theirs = classifier()
    theirs.weight /= 64
    assert attach(theirs.write(tmp_path / "theirs.onnx"), *flags) == 0
    assert ("divided by 255" in capsys.readouterr().err) == (scale == 1 / 255)
    given = dict(zip(flags[::2], flags[1::2], strict=True))
    mean, std = float(given.get("--mean", 0)), float(given.get("--std", 1))
    _, pixels, found, _ = written()
    images = ((pixels * scale - mean) / std).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=1e-5)


def test_the_command_prints_the_best_class_of_each_golden_image(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attach(classifier().write(tmp_path / "theirs.onnx"), *IMAGENET) == 0
    lines = capsys.readouterr().out.splitlines()
    card = card_from_metadata(
        {
            entry.key: entry.value
            for entry in onnx.load(tmp_path / "models/theirs/1/model.onnx").metadata_props
        }
    )
    for image, line in zip(card.certificate.images, lines[1:3], strict=True):
        best = int(np.argmax(image.expected))
        assert line == f"  {image.name}: {card.class_names[best]} {image.expected[best]:.1%}"


def test_a_byte_order_mark_is_not_part_of_the_first_class_name(
    classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    file = classifier().write(tmp_path / "theirs.onnx")
    assert attach(file, *IMAGENET, classes="\ufeffcat\r\ndog\r\nbird\r\n\r\n") == 0
    assert list(written()[0].class_names) == ["cat", "dog", "bird"]


def test_a_layer_whose_heatmaps_are_all_zero_causes_a_warning(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = classifier()
    # Every feature lowers every class score.
    theirs.weight = -np.abs(theirs.weight)
    assert attach(theirs.write(tmp_path / "theirs.onnx"), "--scale", "1/255") == 0
    assert "all 6 heatmaps of the golden images are 0 everywhere" in capsys.readouterr().err
