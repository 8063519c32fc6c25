"""Small classifiers from elsewhere, and the command that adopts them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from spyglass_cli.main import main
from spyglass_contract.model.card import read_card
from spyglass_contract.model.certificate import golden_tensor
from spyglass_export.session_options import session_options

HEIGHT, WIDTH = 6, 8
Array = np.ndarray[Any, Any]


class Classifier:
    """A convolution, global average pooling and a product; `filters` [features, channels, 1, 1]."""

    def __init__(self, channels: int = 3, columns: int = 3, *, names: tuple[str, str] = ("x", "y")) -> None:
        random = np.random.default_rng(5)
        self.filters = random.normal(size=(4, channels, 1, 1)).astype(np.float32)
        self.weight = random.normal(size=(4, columns)).astype(np.float32)
        self.input, self.output = names

    def features(self, images: Array) -> Array:
        """float64 [batch, features, height, width] of images [batch, channels, height, width]."""
        return np.maximum(np.einsum("kc,bchw->bkhw", self.filters[:, :, 0, 0].astype(float), images), 0)

    def logits(self, images: Array) -> Array:
        """float64 [batch, columns]."""
        return self.features(images).mean((2, 3)) @ self.weight

    def heatmaps(self, images: Array, class_index: int) -> Array:
        """Grad-CAM, float64 [batch, height, width]: the gradient of a mean is its weight."""
        raw = np.maximum(np.einsum("bkhw,k->bhw", self.features(images), self.weight[:, class_index]), 0)
        return raw / np.maximum(raw.max((1, 2), keepdims=True), 1e-12)

    def write(
        self,
        path: Path,
        *,
        ending: str = "",
        channels_last: bool = False,
        batch: int | str = "n",
        reshape: tuple[int, ...] = (-1, 4),
        side: int | str = HEIGHT,
        dtype: str = "float32",
    ) -> Path:
        """Write a file whose input is of `dtype`; if that is float16, everything in it is."""
        inner = "float16" if dtype == "float16" else "float32"
        kinds = [helper.np_dtype_to_tensor_dtype(np.dtype(name)) for name in (dtype, inner)]
        channels = self.filters.shape[1]
        shape = [batch, side, WIDTH, channels] if channels_last else [batch, channels, side, WIDTH]
        nodes, source = [], self.input
        if dtype not in ("float32", "float16"):
            nodes.append(helper.make_node("Cast", [source], ["real"], to=TensorProto.FLOAT))
            source = "real"
        if channels_last:
            nodes.append(helper.make_node("Transpose", [source], ["turned"], perm=[0, 3, 1, 2]))
            source = "turned"
        last = "logits" if ending else self.output
        nodes += [
            helper.make_node("Conv", [source, "filters"], ["convolved"]),
            helper.make_node("Relu", ["convolved"], ["features"], name="last_relu"),
            helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
            helper.make_node("Reshape", ["pooled", "flat"], ["mean"]),
            helper.make_node("MatMul", ["mean", "weight"], [last]),
        ]
        if ending:
            nodes.append(helper.make_node(ending, [last], [self.output]))
        weights = {"filters": self.filters.astype(inner), "weight": self.weight.astype(inner)}
        weights["flat"] = np.array(reshape, np.int64)
        graph = helper.make_graph(
            nodes,
            "theirs",
            [helper.make_tensor_value_info(self.input, kinds[0], shape)],
            [helper.make_tensor_value_info(self.output, kinds[1], [batch, self.weight.shape[1]])],
            [numpy_helper.from_array(values, name) for name, values in weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.save(model, path)
        return path

    def write_mean_over_batch(self, path: Path) -> Path:
        """Write a network that averages over the axis of the batch: with several images it would mix them."""
        model = onnx.load(self.write(path, batch=1))
        flat = next(tensor for tensor in model.graph.initializer if tensor.name == "flat")
        flat.CopyFrom(helper.make_tensor("flat", TensorProto.INT64, [3], [1, 1, 4]))
        model.graph.node[-1].input[0] = "gathered"
        mean = helper.make_node("ReduceMean", ["mean"], ["gathered"], axes=[0], keepdims=0)
        model.graph.node.insert(4, mean)
        onnx.save(model, path)
        return path


@pytest.fixture(scope="session")
def classifier() -> type[Classifier]:
    return Classifier


@pytest.fixture
def attach(tmp_path: Path) -> Callable[..., int]:
    """Run the command on a file and return the exit code: `attach(file, *flags)`.

    The command gets two golden images, unless `images` is false.
    """
    golden = tmp_path / "golden"
    golden.mkdir()
    Image.linear_gradient("L").convert("RGB").save(golden / "gradient.png")
    Image.radial_gradient("L").resize((50, 40)).convert("RGB").save(golden / "spot.jpg")

    def run(file: Path, *flags: object, classes: str = "cat\ndog\nbird\n", images: bool = True) -> int:
        names = tmp_path / "names.txt"
        names.write_text(classes, encoding="utf-8")
        given = ["--classes", names, "--size", f"{HEIGHT}x{WIDTH}", "--out", tmp_path / "models/theirs/1"]
        given += [*(["--golden", golden] if images else []), *flags]
        return main(["attach-heatmap", str(file), *map(str, given)])

    return run


@pytest.fixture
def adopted(tmp_path: Path) -> Callable[[], tuple[Any, Array, Array]]:
    """Return (card, pixels, probabilities) of the written file on five images of noise, one by one."""

    def run() -> tuple[Any, Array, Array]:
        file = tmp_path / "models/theirs/1/model.onnx"
        session = ort.InferenceSession(file, session_options(), providers=["CPUExecutionProvider"])
        card = read_card(session)
        pixels = [golden_tensor(seed, card.input) for seed in range(100, 105)]
        found = [session.run(["probabilities"], {"image": image})[0] for image in pixels]
        return card, np.concatenate(pixels), np.concatenate(found)

    return run


@pytest.fixture
def written(tmp_path: Path) -> Callable[[], tuple[Any, Array, Array, Array]]:
    """Return (card, pixels, probabilities, heatmaps of class 1) of the written file on noise."""

    def run() -> tuple[Any, Array, Array, Array]:
        session = ort.InferenceSession(
            tmp_path / "models/theirs/1/model.onnx", session_options(), providers=["CPUExecutionProvider"]
        )
        card = read_card(session)
        pixels = np.concatenate([golden_tensor(seed, card.input) for seed in range(100, 105)])
        feeds = {"image": pixels, "class_index": np.array([1])}
        return card, pixels, *session.run(["probabilities", "heatmap"], feeds)

    return run
