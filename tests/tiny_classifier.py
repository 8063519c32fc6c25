"""A classifier small enough to write in a test: an ONNX file with card and certificate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from plain_images import COLORS, encode_image
from spyglass.v1.model_pb2 import (
    COLOR_MODE_RGB,
    RESAMPLING_BILINEAR,
    RESIZE_RULE_STRETCH,
    SCORE_KIND_SOFTMAX,
    TASK_CLASSIFY,
    Certificate,
    GoldenImage,
    GoldenTensor,
    InputSpec,
    ModelCard,
    Provenance,
    ValueRange,
)
from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.certificate import golden_tensor, pixels_sha256
from tiny_files import write_model

SIZE = 8
DIVISOR = 20.0


def tiny_card(name: str = "colors", version: int = 1, divisor: float = DIVISOR) -> ModelCard:
    """Return the card of a classifier of the mean colour: red, green or blue. Its input is 8 × 8 RGB."""
    spec = InputSpec(
        tensor="image",
        height=SIZE,
        width=SIZE,
        color_mode=COLOR_MODE_RGB,
        resize=RESIZE_RULE_STRETCH,
        resampling=RESAMPLING_BILINEAR,
        value_range=ValueRange(minimum=0, maximum=255),
        scaled_decode_margin=2,
    )
    card = ModelCard(
        name=name,
        version=version,
        task=TASK_CLASSIFY,
        description="Tells red, green and blue apart.",
        input=spec,
        class_names=list(COLORS),
        score_kind=SCORE_KIND_SOFTMAX,
        provenance=Provenance(architecture="mean", training_data="none", licence="Apache-2.0"),
    )
    card.certificate.CopyFrom(tiny_certificate(spec, divisor))
    return card


def tiny_output(pixels: NDArray[np.uint8], divisor: float = DIVISOR) -> NDArray[np.float32]:
    """Return the output of the tiny network, computed in numpy: softmax of the mean colour / `divisor`."""
    logits = pixels.astype(np.float64).mean(axis=(1, 2)) / divisor
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)


def tiny_certificate(spec: InputSpec, divisor: float = DIVISOR) -> Certificate:
    images = []
    for color in COLORS:
        encoded = encode_image(Image.new("RGB", (20, 12), COLORS[color]))
        pixels = prepare(encoded, spec).pixels
        images.append(
            GoldenImage(
                name=f"{color}.png",
                encoded=encoded,
                pixels_sha256=pixels_sha256(pixels),
                expected=tiny_output(pixels[np.newaxis], divisor)[0],
            )
        )
    tensors = [
        GoldenTensor(seed=seed, expected=tiny_output(golden_tensor(seed, spec), divisor)[0])
        for seed in range(2)
    ]
    return Certificate(reference="numpy", tolerance=1e-5, images=images, tensors=tensors)


def write_tiny_model(root: Path, card: ModelCard, divisor: float = DIVISOR) -> Path:
    """Write the tiny network with `card` to NAME/VERSION/model.onnx below `root`. Return the path."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["floats"], to=types.FLOAT),
            helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[1, 2], keepdims=0),
            helper.make_node("Div", ["mean", "divisor"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", types.UINT8, ["batch", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("probabilities", types.FLOAT, ["batch", 3])],
        [helper.make_tensor("divisor", types.FLOAT, [], [divisor])],
    )
    return write_model(root, card, graph)


@pytest.fixture(scope="session")
def classify_colors() -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """The tiny network in numpy: uint8 [batch, 8, 8, 3] to float32 [batch, 3]."""
    return tiny_output


@pytest.fixture
def make_card() -> Callable[..., ModelCard]:
    """Return the card of the tiny network: `make_card(name="colors", version=1)`."""
    return tiny_card


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Write a tiny model file below `tmp_path / "models"`: `make_model(card)`. Default: `tiny_card()`."""

    def make(card: ModelCard | None = None) -> Path:
        return write_tiny_model(tmp_path / "models", card or tiny_card())

    return make


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model `colors`, version 1."""
    root = tmp_path_factory.mktemp("models")
    write_tiny_model(root, tiny_card())
    return root
