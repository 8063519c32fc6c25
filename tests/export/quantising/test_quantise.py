"""A model in int8: it is written if it keeps the classes, and otherwise refused with the figures."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx

from quantisable import colored_images, write_convolutions
from spyglass.v1.model_pb2 import TASK_SEGMENT, ModelCard
from spyglass_contract.errors import InvalidInput, ModelError
from spyglass_contract.model.card import read_card
from spyglass_contract.model.certificate import verify
from spyglass_contract.model.held_out import HeldOut, read_held_out
from spyglass_contract.model.precisions import Tolerance
from spyglass_export.quantising.quantise import CalibrationData, quantise
from spyglass_export.session import open_session, runner
from tiny_segmentation import (
    HEIGHT,
    RULES,
    WIDTH,
    segment_colors,
    segmentation_card,
    write_segmentation_model,
)


def data(calibration: int = 16, held_out: int = 40, *, labels: bool = True) -> CalibrationData:
    pixels, known = colored_images(held_out, seed=1)
    return CalibrationData(colored_images(calibration)[0], HeldOut(pixels, known if labels else None))


def int8_card(file: Path) -> ModelCard:
    return read_card(open_session(file.with_name("model.int8.onnx")))


def test_the_card_states_what_was_measured(tmp_path: Path) -> None:
    file = write_convolutions(tmp_path)
    lines: list[str] = []

    returned = quantise(file, data(), notify=lines.append)

    card = int8_card(file)
    reduced = card.reduced_precision
    assert returned == card
    assert (reduced.precision, reduced.calibration_images, reduced.held_out_images) == ("int8", 16, 40)
    assert reduced.recipe in {line.split(": ")[0] for line in lines}
    assert (reduced.metric, reduced.least_agreement, reduced.most_metric_loss) == ("accuracy", 0.99, 0.005)
    assert reduced.source_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    original, int8 = (runner(open_session(path), card) for path in (file, file.with_name("model.int8.onnx")))
    pixels, labels = colored_images(40, seed=1)
    expected, found = original(pixels).argmax(axis=1), int8(pixels).argmax(axis=1)
    assert reduced.agreement == pytest.approx((expected == found).mean())
    assert reduced.original_metric == pytest.approx((expected == labels).mean())
    assert reduced.reduced_metric == pytest.approx((found == labels).mean())


def test_the_file_computes_in_integers_and_keeps_the_softmax_in_float(tmp_path: Path) -> None:
    file = write_convolutions(tmp_path)

    quantise(file, data())

    graph = onnx.load(file.with_name("model.int8.onnx")).graph
    producers = {name: node for node in graph.node for name in node.output}
    assert sum(tensor.data_type == onnx.TensorProto.INT8 for tensor in graph.initializer) > 0
    for node in graph.node:
        if node.op_type == "Conv":
            assert {producers[name].op_type for name in node.input} == {"DequantizeLinear"}
    assert producers["probabilities"].op_type == "Softmax"


def test_the_certificate_is_that_of_the_integers(tmp_path: Path) -> None:
    file = write_convolutions(tmp_path)
    quantise(file, data())
    card = int8_card(file)
    int8 = runner(open_session(file.with_name("model.int8.onnx")), card)

    assert card.certificate.reference.startswith("int8 in onnxruntime")
    assert verify(card, int8, 1e-6).max_abs_diff <= 1e-6
    with pytest.raises(ModelError, match="differ from the certificate's"):
        verify(card, lambda pixels: 1 - int8(pixels))


def test_a_network_that_loses_its_classes_is_refused_with_the_figures(tmp_path: Path) -> None:
    file = write_convolutions(tmp_path, outlier=1e5)

    figures = r"\d% of 40 images keep their class, and at least 99.00% must"
    with pytest.raises(ModelError, match=figures) as raised:
        quantise(file, data())

    assert raised.value.reason == "PRECISION_REFUSED"
    assert "the accuracy falls from" in raised.value.message
    assert [path.name for path in file.parent.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize(("seven_bits", "largest"), [(False, 127), (True, 64)])
def test_weights_have_8_bits_or_7(tmp_path: Path, seven_bits: bool, largest: int) -> None:
    file = write_convolutions(tmp_path)

    recipe = quantise(file, data(), seven_bits=seven_bits).reduced_precision.recipe

    assert ("7-bit weights" in recipe) == seven_bits
    weights = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(file.with_name("model.int8.onnx")).graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and tensor.name.endswith("_quantized")
    ]
    assert weights and max(np.abs(weight.astype(int)).max() for weight in weights) == largest


def test_a_lower_tolerance_is_allowed_and_stated(tmp_path: Path) -> None:
    file = write_convolutions(tmp_path, outlier=1e5)

    quantise(file, data(), tolerance=Tolerance(0.0, 1.0))

    reduced = int8_card(file).reduced_precision
    assert reduced.agreement < 0.9
    assert (reduced.least_agreement, reduced.most_metric_loss) == (0.0, 1.0)


def test_the_most_costly_nodes_stay_in_float_if_that_helps(tmp_path: Path) -> None:
    file = write_convolutions(tmp_path, outlier=1e5, at=4, depth=10)

    reduced = quantise(file, data()).reduced_precision

    assert reduced.kept_nodes == 2
    assert "2 nodes in float32" in reduced.recipe
    assert reduced.agreement >= 0.99


def test_images_without_labels_give_the_agreement_alone(tmp_path: Path) -> None:
    file = write_convolutions(tmp_path)

    reduced = quantise(file, data(labels=False)).reduced_precision

    assert reduced.metric == "" and not reduced.HasField("original_metric")
    assert reduced.agreement >= 0.99


def test_the_held_out_images_lie_beside_the_file_unless_they_must_not(tmp_path: Path) -> None:
    file = write_convolutions(tmp_path)
    images = file.with_name("held_out.npz")

    card = quantise(file, data())
    found = read_held_out(images, card, card.reduced_precision.source_sha256)
    assert np.array_equal(found.pixels, colored_images(40, seed=1)[0])
    assert found.labels is not None and np.array_equal(found.labels, colored_images(40, seed=1)[1])

    quantise(file, data(), keep_images=False)
    assert not images.exists()


def test_a_segmentation_model_is_compared_pixel_by_pixel(tmp_path: Path) -> None:
    card = segmentation_card("stretch", RULES["stretch"])
    file = write_segmentation_model(tmp_path, card)
    pixels = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (24, HEIGHT, WIDTH, 3))
    # The network's own classes, but for a row of each image.
    labels = segment_colors(pixels).argmax(axis=-1).astype(np.uint8)
    labels[:, 0] = (labels[:, 0] + 1) % 4

    reduced = quantise(
        file, CalibrationData(pixels[:12], HeldOut(pixels[12:], labels[12:]))
    ).reduced_precision

    assert (reduced.metric, reduced.held_out_images) == ("mean IoU", 12)
    assert reduced.agreement >= 0.99
    assert 0.8 < reduced.original_metric < 1.0
    assert reduced.reduced_metric == pytest.approx(reduced.original_metric, abs=0.005)
    assert int8_card(file).task == TASK_SEGMENT


def test_a_file_in_int8_is_not_quantised_again(tmp_path: Path) -> None:
    file = write_convolutions(tmp_path)
    quantise(file, data())

    with pytest.raises(ModelError, match="already holds a network in int8"):
        quantise(file.with_name("model.int8.onnx"), data())


def test_images_of_another_size_are_refused(tmp_path: Path) -> None:
    file = write_convolutions(tmp_path)
    wrong = CalibrationData(np.zeros((4, 9, 8, 3), np.uint8), data().held_out)

    with pytest.raises(InvalidInput, match=r"must be uint8 \['images', 8, 8, 3\], not uint8 \[4, 9, 8, 3\]"):
        quantise(file, wrong)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "no model card"), (b"not onnx", "is not an ONNX file"), (None, "no model file")],
)
def test_a_broken_or_missing_file_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "model.onnx"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ModelError, match=message):
        quantise(file, data())


def test_a_network_of_an_old_opset_is_refused(tmp_path: Path) -> None:
    file = write_convolutions(tmp_path)
    model = onnx.load(file)
    model.opset_import[0].version = 12
    onnx.save(model, file)

    with pytest.raises(ModelError, match="opset 13 or newer, and this one has 12"):
        quantise(file, data())
