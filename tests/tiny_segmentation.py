"""Segmentation models small enough to write in a test: they classify each pixel by its colour."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.model_pb2 import (
    COLOR_MODE_RGB,
    RESIZE_RULE_CROP,
    RESIZE_RULE_PAD,
    RESIZE_RULE_STRETCH,
    TASK_SEGMENT,
    Certificate,
    GoldenImage,
    GoldenTensor,
    InputSpec,
    ModelCard,
    Provenance,
    ResizeRule,
    ValueRange,
)
from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.certificate import golden_tensor, kept, pixels_sha256
from tiny_files import write_model

WIDTH, HEIGHT = 32, 24

CLASSES = ("background", "red", "green", "blue")
# From a pixel's red, green and blue to the logits of the classes. Dark pixels are background.
WEIGHTS = np.array([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32) / 8
DARKNESS = 12.0

RULES = {"stretch": RESIZE_RULE_STRETCH, "crop": RESIZE_RULE_CROP, "pad": RESIZE_RULE_PAD}


def segment_colors(
    pixels: NDArray[np.uint8], cell: int = 1, darkness: float = DARKNESS
) -> NDArray[np.float32]:
    """Compute the network's output in numpy from uint8 [batch, height, width, 3]; `cell` is its stride.

    `darkness` is the logit of the background.
    """
    batch, height, width, _ = pixels.shape
    blocks = pixels.reshape(batch, height // cell, cell, width // cell, cell, 3)
    logits = blocks.astype(np.float64).mean(axis=(2, 4)) @ WEIGHTS + _bias(darkness)
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (exponentials / exponentials.sum(axis=-1, keepdims=True)).astype(np.float32)


def _bias(darkness: float) -> NDArray[np.float32]:
    return np.array([darkness, 0, 0, 0], np.float32)


def segmentation_card(
    name: str, rule: ResizeRule.ValueType, cell: int = 1, version: int = 1, darkness: float = DARKNESS
) -> ModelCard:
    """Return a card with an input of 32 × 24 RGB. A cell of the output is `cell` × `cell` input pixels."""
    spec = InputSpec(
        tensor="image",
        height=HEIGHT,
        width=WIDTH,
        color_mode=COLOR_MODE_RGB,
        resize=rule,
        value_range=ValueRange(minimum=0, maximum=255),
    )
    card = ModelCard(
        name=name,
        version=version,
        task=TASK_SEGMENT,
        description="Tells colours apart.",
        input=spec,
        class_names=CLASSES,
        provenance=Provenance(architecture="colours", training_data="none", licence="Apache-2.0"),
    )
    card.certificate.CopyFrom(_certificate(spec, cell, darkness))
    return card


def _certificate(spec: InputSpec, cell: int, darkness: float) -> Certificate:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 12), (255, 0, 0)).save(buffer, "PNG")
    pixels = prepare(buffer.getvalue(), spec).pixels
    image = GoldenImage(
        name="red.png",
        encoded=buffer.getvalue(),
        pixels_sha256=pixels_sha256(pixels),
        expected=kept(segment_colors(pixels[np.newaxis], cell, darkness)),
    )
    tensor = GoldenTensor(seed=0, expected=kept(segment_colors(golden_tensor(0, spec), cell, darkness)))
    return Certificate(reference="numpy", tolerance=1e-5, images=[image], tensors=[tensor])


def write_segmentation_model(root: Path, card: ModelCard, cell: int = 1, darkness: float = DARKNESS) -> Path:
    """Write the network with `card` to NAME/VERSION/model.onnx below `root`. Return the path."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=types.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["means"], kernel_shape=[cell] * 2, strides=[cell] * 2),
        helper.make_node("Transpose", ["means"], ["colors"], perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", ["colors", "weights"], ["products"]),
        helper.make_node("Add", ["products", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    shape = ["batch", HEIGHT // cell, WIDTH // cell, len(CLASSES)]
    graph = helper.make_graph(
        nodes,
        "colors",
        [helper.make_tensor_value_info("image", types.UINT8, ["batch", HEIGHT, WIDTH, 3])],
        [helper.make_tensor_value_info("probabilities", types.FLOAT, shape)],
        [
            onnx.numpy_helper.from_array(WEIGHTS, "weights"),
            onnx.numpy_helper.from_array(_bias(darkness), "bias"),
        ],
    )
    return write_model(root, card, graph)


@pytest.fixture(scope="session")
def segmenting_models(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    """A folder of models: `stretch`, `crop` and `pad` are segmentation models named after their resize rules.

    `coarse` pads, and its output is half as wide and high as its input. `twins` has two classes of one name.
    `colors` is a classifier.
    """
    root = tmp_path_factory.mktemp("segmenting-models")
    shutil.copytree(tiny_models / "colors", root / "colors")
    for name, rule in RULES.items():
        write_segmentation_model(root, segmentation_card(name, rule))
    write_segmentation_model(root, segmentation_card("coarse", RESIZE_RULE_PAD, cell=2), cell=2)
    twins = segmentation_card("twins", RESIZE_RULE_STRETCH)
    twins.class_names[2] = "red"
    write_segmentation_model(root, twins)
    return root


@pytest.fixture(scope="session")
def segmenting_server(segmenting_models: Path) -> Iterator[str]:
    """HOST:PORT of a server with the models of `segmenting_models`; `stretch` is the default model."""
    pytest.importorskip("onnxruntime")
    from spyglass_server.server import Server
    from spyglass_server.settings import ServerSettings

    settings = ServerSettings(
        profile_seconds=0,
        host="127.0.0.1",
        port=0,
        models=segmenting_models,
        default_model=["stretch"],
        concurrency=2,
    )
    server = Server(settings)
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop(grace=0)


@pytest.fixture(scope="session")
def square_image() -> Callable[..., Image.Image]:
    """Return a red box on blue: `square_image(size, box)`. `box` is left, top, right, bottom in pixels."""

    def make(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
        image = Image.new("RGB", size, (0, 0, 255))
        image.paste((255, 0, 0), box)
        return image

    return make
