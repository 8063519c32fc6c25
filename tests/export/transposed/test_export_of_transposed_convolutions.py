"""Transposed convolutions of Keras become plain ones in the file, and the certificate covers the change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")

import keras
import onnx
import onnxruntime as ort
from keras import layers

from spyglass.v1.model_pb2 import TASK_SEGMENT, ModelCard
from spyglass_contract.model.card import read_card
from spyglass_contract.model.certificate import EXPORT_TOLERANCE, golden_tensor, verify
from spyglass_contract.model.run_folder import RunFolder
from spyglass_export.export import export_model, export_run
from spyglass_export.session_options import session_options
from spyglass_training.models import pet_segmentation
from spyglass_training.models.parts.image_input import image_input

pytestmark = pytest.mark.training

MakeImage = Callable[..., bytes]
MakeRun = Callable[..., RunFolder]


@pytest.fixture
def card(make_card: Callable[..., ModelCard]) -> ModelCard:
    """The card of a model that segments images of 8 × 8 into three classes."""
    segmenting = make_card()
    segmenting.task = TASK_SEGMENT
    return segmenting


def with_random_biases(model: keras.Model) -> keras.Model:
    """Replace the initial biases: they are zero, and would be left out of the graph."""
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if variable.name == "bias":
            variable.assign(random.normal(0, 0.2, variable.shape))
    return model


def exported(model: keras.Model, card: ModelCard, target: Path, image: bytes) -> set[str]:
    """Write the model's file, compare its outputs with Keras, and return its operators."""
    export_model(model, card, {"image.png": image}, target)
    session = ort.InferenceSession(str(target), session_options(), providers=["CPUExecutionProvider"])
    pixels = np.concatenate([golden_tensor(seed, card.input) for seed in range(100, 103)])
    found = session.run(["probabilities"], {"image": pixels})[0]
    np.testing.assert_allclose(found, model(pixels, training=False), rtol=0, atol=1e-5)
    certified = read_card(session)
    assert 0 <= certified.certificate.max_abs_diff <= EXPORT_TOLERANCE
    verify(certified, lambda one: session.run(None, {"image": one})[0], EXPORT_TOLERANCE)
    return {node.op_type for node in onnx.load(str(target)).graph.node}


@pytest.mark.slow
def test_the_pet_segmentation_network_keeps_no_transposed_convolution(
    card: ModelCard, tmp_path: Path, color_image: MakeImage
) -> None:
    keras.utils.set_random_seed(0)
    model = with_random_biases(pet_segmentation.build(card.input, 3))
    assert "ConvTranspose" not in exported(model, card, tmp_path / "model.onnx", color_image("red"))


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "strides": 2, "padding": "same"},
        {"kernel_size": 4, "strides": 2, "padding": "same"},
        {"kernel_size": 5, "strides": 2, "padding": "same", "output_padding": 1},
        {"kernel_size": 3, "strides": 1, "padding": "same"},
    ],
    ids=["overlapping", "of even size", "with output padding", "of stride 1"],
)
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "softplus"])
def test_every_form_of_the_keras_layer_is_rewritten(
    options: dict[str, Any], activation: str, card: ModelCard, tmp_path: Path, color_image: MakeImage
) -> None:
    image = image_input(card.input)
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(16, 3, strides=options["strides"], padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(16, activation=activation, **options)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(3, 1, activation="softmax")(x)
    model = with_random_biases(keras.Model(image, x))
    assert "ConvTranspose" not in exported(model, card, tmp_path / "model.onnx", color_image("red"))


def test_a_heatmap_explains_the_layer_of_the_original_network(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(
        layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu", name="up"),
    )
    found = export_run(run, tmp_path / "models/colors/1")
    assert "up" in found.explained_layer
    file = tmp_path / "models/colors/1/model.onnx"
    assert "ConvTranspose" not in {node.op_type for node in onnx.load(str(file)).graph.node}
    session = ort.InferenceSession(str(file), session_options(), providers=["CPUExecutionProvider"])
    pixels = golden_tensor(0, found.input)
    (heatmap,) = session.run(["heatmap"], {"image": pixels})
    assert heatmap.shape == (1, 12, 16) and heatmap.max() == pytest.approx(1, abs=1e-6)
