"""Export of networks with one sigmoid output, with an output per pixel, and of mixed precision."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")

import keras
import onnx
import onnxruntime as ort

from spyglass.v1.model_pb2 import (
    RESAMPLING_BILINEAR,
    SCORE_KIND_SOFTMAX,
    TASK_CLASSIFY,
    TASK_SEGMENT,
    InputSpec,
)
from spyglass_contract.errors import CertificateError, ModelError
from spyglass_contract.model.card import card_to_json, read_card
from spyglass_contract.model.certificate import EXPORT_TOLERANCE, KEPT_PIXELS, golden_tensor, kept, verify
from spyglass_contract.model.run_folder import DataRecord, RunFolder, RunRecord
from spyglass_export.converting.full_precision import in_float32
from spyglass_export.export import export_run
from spyglass_export.session_options import session_options
from spyglass_training.models import find_architecture
from spyglass_training.models.parts.image_input import image_input, photograph

pytestmark = [pytest.mark.training, pytest.mark.slow]

SPEC = photograph(48)


def save_run(
    folder: Path, model: keras.Model, classes: tuple[str, ...], task: Any = TASK_CLASSIFY
) -> RunFolder:
    run = RunFolder(folder)
    run.create()
    run.golden.mkdir()
    model.save(run.model)
    Image.linear_gradient("L").convert("RGB").save(run.golden / "gradient.png")
    record = RunRecord(
        architecture="small",
        description="A small network.",
        parameters=model.count_params(),
        input=SPEC,
        class_names=classes,
        data=DataRecord("nothing", "CC0-1.0", "0" * 64),
        options={},
        library_versions={},
        epochs=(),
        metrics={},
        created="2026-01-01T00:00:00+00:00",
        seconds=0.0,
        task=task,
    )
    run.write_record(record)
    return run


def build(name: str, classes: int, spec: InputSpec = SPEC) -> keras.Model:
    keras.utils.set_random_seed(0)
    return find_architecture(name).build(spec, classes)


def outputs(file: Path, seeds: range) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return pixels and the probabilities of the file for them."""
    session = ort.InferenceSession(
        str(file / "model.onnx"), session_options(), providers=["CPUExecutionProvider"]
    )
    pixels = np.concatenate([golden_tensor(seed, SPEC) for seed in seeds])
    return pixels, session.run(["probabilities"], {"image": pixels})[0]


def test_one_sigmoid_output_becomes_the_probabilities_of_both_classes(tmp_path: Path) -> None:
    model, target = build("mini-xception", 2), tmp_path / "models/defects/1"
    card = export_run(save_run(tmp_path / "run", model, ("sound", "defective")), target)
    assert card.task == TASK_CLASSIFY and list(card.class_names) == ["sound", "defective"]
    assert card.score_kind == SCORE_KIND_SOFTMAX and card.input.resampling == RESAMPLING_BILINEAR
    pixels, found = outputs(target, range(3))
    second = np.asarray(model(pixels, training=False))[:, 0]
    assert 0.01 < second.min() < second.max() < 0.99
    np.testing.assert_allclose(found, np.stack([1 - second, second], axis=1), atol=1e-5)
    nodes = onnx.load(str(target / "model.onnx")).graph.node
    (last,) = [node for node in nodes if "probabilities" in node.output]
    assert last.op_type == "Concat"


def test_an_output_for_each_pixel_becomes_a_segmentation_model(tmp_path: Path) -> None:
    model, target = build("pet-segmentation", 3), tmp_path / "models/pets/1"
    run = save_run(tmp_path / "run", model, ("animal", "ground", "contour"), TASK_SEGMENT)
    assert run.read_record().task == TASK_SEGMENT
    card = export_run(run, target)
    assert card.task == TASK_SEGMENT and card.score_kind == SCORE_KIND_SOFTMAX
    pixels, found = outputs(target, range(2))
    np.testing.assert_allclose(found, model(pixels, training=False), atol=1e-5)
    session = ort.InferenceSession(
        str(target / "model.onnx"), session_options(), providers=["CPUExecutionProvider"]
    )
    (output,) = session.get_outputs()
    assert output.shape == ["batch", 48, 48, 3]
    assert len(card.certificate.tensors[0].expected) <= KEPT_PIXELS * 3
    assert len(card_to_json(card)) < 500_000
    verify(read_card(session), lambda one: session.run(None, {"image": one})[0], EXPORT_TOLERANCE)


def test_the_certificate_of_a_mask_notices_a_fault_in_one_position_of_every_stride(tmp_path: Path) -> None:
    model, target = build("pet-segmentation", 3), tmp_path / "models/pets/1"
    run = save_run(tmp_path / "run", model, ("animal", "ground", "contour"), TASK_SEGMENT)
    card = export_run(run, target)
    session = ort.InferenceSession(
        str(target / "model.onnx"), session_options(), providers=["CPUExecutionProvider"]
    )
    for row, column in ((0, 0), (3, 5), (7, 7), (6, 1)):

        def faulty(pixels: Any, row: int = row, column: int = column) -> Any:
            found = session.run(None, {"image": pixels})[0]
            found[:, row::8, column::8] += 0.01
            return found

        with pytest.raises(CertificateError, match="differ"):
            verify(card, faulty)


@pytest.mark.parametrize("shape", [(1, 5), (1, 8, 8, 2), (1, 20, 25, 3)])
def test_a_small_output_is_stored_completely(shape: tuple[int, ...]) -> None:
    output = np.random.default_rng(0).random(shape, np.float32)
    np.testing.assert_array_equal(kept(output), output.ravel())


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_network_of_mixed_precision_is_exported_in_float32(precision: str, tmp_path: Path) -> None:
    plain = build("mini-xception", 3)
    keras.config.set_dtype_policy(precision)
    try:
        mixed = build("mini-xception", 3)
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(plain.get_weights())
    target = tmp_path / "models/mixed/1"
    export_run(save_run(tmp_path / "run", mixed, ("a", "b", "c")), target)
    pixels, found = outputs(target, range(3))
    np.testing.assert_allclose(found, plain(pixels, training=False), atol=1e-5)
    graph = onnx.load(str(target / "model.onnx")).graph
    assert {each.data_type for each in graph.initializer} <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}


def test_a_float32_network_stays_the_same_object() -> None:
    model = build("small-resnet", 2)
    assert in_float32(model) is model


def test_a_single_output_for_three_classes_is_rejected(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", build("small-resnet", 2), ("a", "b", "c"))
    with pytest.raises(ModelError, match=r"to \(None, 3\), not from .* to \(None, 1\)"):
        export_run(run, tmp_path / "models/small/1")


def test_a_classification_network_is_rejected_for_segmentation(tmp_path: Path) -> None:
    image = image_input(SPEC)
    features = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.GlobalAveragePooling2D()(features)
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax")(x))
    run = save_run(tmp_path / "run", model, ("a", "b"), TASK_SEGMENT)
    with pytest.raises(ModelError, match=r"\(None, 48, 48, 2\)"):
        export_run(run, tmp_path / "models/small/1")
    run.write_record(dataclasses.replace(run.read_record(), task=TASK_CLASSIFY))
    export_run(run, tmp_path / "models/small/1")
