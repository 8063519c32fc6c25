"""Score-CAM of the server, against an implementation in this file that follows the paper."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from handled import Handled, explained

pytest.importorskip("onnx")

import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from spyglass.v1.heatmap_pb2 import (
    MAP_SIZE_AS_FEATURE_MAP,
    MAP_SIZE_AS_MODEL,
    HeatmapRequest,
    HeatmapResponse,
)
from spyglass.v1.image_pb2 import Image as ImageInput
from spyglass.v1.model_pb2 import GoldenImage, GoldenTensor, ModelCard
from spyglass_contract.errors import Cancelled, CardError, DeadlineExceeded
from spyglass_contract.heatmaps.score_cam import varying_channels, weighted_map
from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.card import PREDICTED, read_card, write_card
from spyglass_contract.model.certificate import golden_tensor
from spyglass_export.gradcam import attach_gradcam
from spyglass_export.session_options import session_options
from spyglass_server.engine.call import Call
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.engine.models.session import Session
from spyglass_server.open_inference.inference import OpenInference
from spyglass_server.open_inference.tensors import InferRequest, InputTensor, RequestedOutput

PATIENCE = 30
CHANNELS, PLACES = 6, 4
Array = NDArray[Any]


def _network() -> onnx.ModelProto:
    """uint8 [batch, 8, 8, 3] by a convolution of stride 2 to 6 channels, one of them flat, and 3 classes."""
    random = np.random.default_rng(11)
    filters = random.normal(size=(CHANNELS, 3, 3, 3)) / 300
    filters[4] = 0
    weights = {
        "filters": filters.astype("f"),
        "bias": np.full(CHANNELS, 0.3, "f"),
        "weight": random.normal(size=(CHANNELS, 3)).astype("f"),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "filters", "bias"], ["maps"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["maps"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 8, 8, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def _outputs(model: onnx.ModelProto, pixels: Array, *names: str) -> list[Array]:
    """Return tensors of the plain network by their names."""
    inside = onnx.ModelProto()
    inside.CopyFrom(model)
    del inside.graph.output[:]
    inside.graph.output.extend(helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names)
    session = onnxruntime.InferenceSession(
        inside.SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
    )
    values: list[Array] = session.run(None, {"image": pixels})
    return values


def _paper(model: onnx.ModelProto, pixels: Array, class_index: int) -> Array:
    """Algorithm 1 of Wang et al. 2020, one mask after the other, on a black baseline."""
    (features,) = _outputs(model, pixels[np.newaxis], "features")
    baseline = _outputs(model, np.zeros_like(pixels)[np.newaxis], "logits")[0][0, class_index]
    increases, kept = [], []
    for plane in features[0]:
        large = np.asarray(Image.fromarray(plane).resize((8, 8), Image.Resampling.BILINEAR), float)
        if large.max() == large.min():
            continue
        mask = (large - large.min()) / (large.max() - large.min())
        image = np.clip(np.round(pixels * mask[..., None]), 0, 255).astype(np.uint8)
        increases.append(float(_outputs(model, image[np.newaxis], "logits")[0][0, class_index]) - baseline)
        kept.append(plane)
    weights = np.exp(increases) / np.exp(increases).sum()
    raw = np.maximum(sum(w * plane for w, plane in zip(weights, kept, strict=True)), 0)
    return np.asarray(raw / raw.max())


@pytest.fixture(scope="module")
def plain() -> onnx.ModelProto:
    return _network()


@pytest.fixture
def file(plain: onnx.ModelProto, make_card: Callable[..., ModelCard], tmp_path: Path) -> Path:
    """The network for Score-CAM, with a certificate of its own outputs."""
    card = make_card("masked")
    certificate = card.certificate
    tensors = [
        GoldenTensor(
            seed=0, expected=_outputs(plain, golden_tensor(0, card.input), "probabilities")[0].ravel()
        )
    ]
    golden = certificate.images[0]
    pixels = prepare(golden.encoded, card.input).pixels[np.newaxis]
    images = [
        GoldenImage(
            name=golden.name,
            encoded=golden.encoded,
            pixels_sha256=golden.pixels_sha256,
            expected=_outputs(plain, pixels, "probabilities")[0].ravel(),
        )
    ]
    del certificate.tensors[:], certificate.images[:]
    certificate.tensors.extend(tensors)
    certificate.images.extend(images)
    card.explained_layer, card.heatmap_method = "features", "scorecam"
    model = attach_gradcam(plain, method="scorecam").model
    write_card(model, card)
    onnx.checker.check_model(model, full_check=True)
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path))
    return path


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (8, 8, 3), dtype=np.uint8)


class WatchedNetwork:
    """A session that counts its runs and, before run number `stop_at`, waits for its gate."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.card, self.provider = session.card, session.provider
        self.heatmap_provider = session.heatmap_provider
        self.batches: list[int] = []
        self.stop_at = -1
        self.stopped, self.gate = Event(), Event()

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.session.run(pixels)

    def features(self, pixels: NDArray[np.uint8]) -> Any:
        self.batches.append(len(pixels))
        if len(self.batches) == self.stop_at:
            self.stopped.set()
            assert self.gate.wait(PATIENCE)
        return self.session.features(pixels)


@pytest.fixture
def network(file: Path) -> WatchedNetwork:
    return WatchedNetwork(Session(file, device="cpu"))


@pytest.fixture
def open_handled(network: WatchedNetwork) -> Iterator[Callable[..., Handled]]:
    """The handlers of the watched network: `open_handled(**resources)`."""
    opened = []

    def open_one(**resources: int) -> Handled:
        path = Path("masked/1/model.onnx")
        model = Model(network, "ab" * 32, Resources(**resources))
        opened.append(Handled(path, lambda path: model))
        return opened[-1]

    yield open_one
    network.gate.set()
    for handled in opened:
        handled.close()


def _maps(response: HeatmapResponse) -> list[Array]:
    return [
        np.frombuffer(each.heatmap.data, "<f4").reshape(each.heatmap.height, each.heatmap.width)
        for each in explained(response)
    ]


@pytest.mark.parametrize("resources", [{}, {"max_batch": 4}, {"workers": 2}], ids=str)
def test_each_class_is_explained_as_in_the_paper(
    open_handled: Callable[..., Handled],
    plain: onnx.ModelProto,
    pixels: NDArray[np.uint8],
    resources: dict[str, int],
) -> None:
    found = open_handled(**resources).heatmap(pixels, targets=(None, 0, 1, 2))
    (of_predicted, *maps), predicted = _maps(found), found.classes[0].index
    for class_index in range(3):
        np.testing.assert_allclose(maps[class_index], _paper(plain, pixels, class_index), atol=1e-5)
    np.testing.assert_array_equal(of_predicted, maps[predicted])
    assert not np.allclose(maps[0], maps[1], atol=1e-3)
    (expected,) = _outputs(plain, pixels[np.newaxis], "probabilities")
    assert found.classes[0].score == pytest.approx(float(expected.max()), abs=1e-6)


@pytest.mark.parametrize("count", [1, 2])
def test_a_tensor_of_several_images_gets_the_same_maps(
    open_handled: Callable[..., Handled], pixels: NDArray[np.uint8], count: int
) -> None:
    handled = open_handled(max_batch=2)
    (expected,) = _maps(handled.heatmap(pixels, size=MAP_SIZE_AS_MODEL))
    batch = InputTensor("image", "UINT8", (count, *pixels.shape), pixels.tobytes() * count)
    request = InferRequest("masked", "", "", (batch,), (RequestedOutput("heatmap"),))

    (heatmap,) = OpenInference(handled.engine).infer(request, Call()).outputs

    np.testing.assert_allclose(heatmap.values, np.stack([expected] * count), atol=1e-6)


def test_all_classes_share_one_pass_for_each_channel_that_is_not_flat(
    open_handled: Callable[..., Handled], network: WatchedNetwork, pixels: NDArray[np.uint8]
) -> None:
    open_handled().heatmap(pixels, targets=(0, 1, 2))
    assert network.batches == [1] * (1 + CHANNELS - 1)


def test_masked_images_run_in_batches_that_the_model_takes(
    open_handled: Callable[..., Handled], network: WatchedNetwork, pixels: NDArray[np.uint8]
) -> None:
    handled = open_handled(max_batch=2)
    network.stop_at = 2
    network.gate.set()
    handled.heatmap(pixels)
    assert sum(network.batches) == CHANNELS
    assert max(network.batches) <= 2


def test_a_limit_keeps_the_channels_of_most_energy(
    open_handled: Callable[..., Handled], network: WatchedNetwork, pixels: NDArray[np.uint8]
) -> None:
    open_handled(score_cam_channels=2).heatmap(pixels)
    assert len(network.batches) == 3
    planes = np.array([[[0, 1]], [[3, 3]], [[2, 0]], [[-5, 0]]], np.float32)
    assert varying_channels(planes, 0).tolist() == [0, 2, 3]
    assert varying_channels(planes, 2).tolist() == [2, 3]


def test_a_server_uses_as_many_channels_as_its_setting_says(
    run_server: Callable[..., Any],
    file: Path,
    plain: onnx.ModelProto,
    pixels: NDArray[np.uint8],
    encode: Callable[..., bytes],
) -> None:
    models = file.parent / "models"
    (models / "masked/1").mkdir(parents=True)
    file.rename(models / "masked/1/model.onnx")
    vision = run_server(models=models, score_cam_channels=1).vision
    image = ImageInput(encoded=encode(Image.fromarray(pixels)))
    reply = vision.Heatmap(HeatmapRequest(image=image, size=MAP_SIZE_AS_FEATURE_MAP), timeout=PATIENCE)
    (features,) = _outputs(plain, pixels[np.newaxis], "features")[0]
    strongest = max(features, key=lambda plane: float((plane**2).sum()) * (plane.min() < plane.max()))
    found = np.frombuffer(reply.heatmap.data, "<f4").reshape(PLACES, PLACES)
    np.testing.assert_allclose(found, strongest / strongest.max(), atol=1e-6)


def test_a_map_without_any_positive_value_is_all_zeros(
    open_handled: Callable[..., Handled], network: WatchedNetwork
) -> None:
    assert not weighted_map(np.zeros((0, 4, 4), np.float32), np.zeros(0, np.float32)).any()
    assert not weighted_map(np.full((1, 2, 2), -1, np.float32), np.ones(1, np.float32)).any()


def test_a_cancelled_call_stops_between_the_passes(
    open_handled: Callable[..., Handled], network: WatchedNetwork, pixels: NDArray[np.uint8]
) -> None:
    handled = open_handled()
    call = Call()
    network.stop_at = 3
    with ThreadPoolExecutor() as pool:
        future = pool.submit(handled.heatmap, pixels, call=call)
        assert network.stopped.wait(PATIENCE)
        call.cancel()
        # A pass that has started runs to its end.
        network.gate.set()
        with pytest.raises(Cancelled):
            future.result(PATIENCE)
    assert handled.inside == 0
    handled.classify(pixels)
    assert len(network.batches) == 3


def test_a_deadline_applies_to_all_passes_together(
    open_handled: Callable[..., Handled], network: WatchedNetwork, pixels: NDArray[np.uint8]
) -> None:
    handled = open_handled()
    network.stop_at = 3
    with pytest.raises(DeadlineExceeded):
        handled.heatmap(pixels, call=Call(time.monotonic() + 0.5))
    assert handled.inside == 0
    network.gate.set()
    handled.classify(pixels)
    assert len(network.batches) <= 3


def test_classifying_does_not_fetch_the_feature_map(file: Path, pixels: NDArray[np.uint8]) -> None:
    session = onnxruntime.InferenceSession(file, session_options(), providers=["CPUExecutionProvider"])
    feeds = {"image": np.stack([pixels, pixels]), "class_index": np.empty(0, np.int64)}
    probabilities, features, scores = session.run(None, feeds)
    assert (len(probabilities), features.size, scores.size) == (2, 0, 0)
    probabilities, features, scores = session.run(None, {**feeds, "class_index": np.array([PREDICTED])})
    assert features.shape == (2, CHANNELS, PLACES, PLACES)
    np.testing.assert_allclose(
        probabilities, np.exp(scores) / np.exp(scores).sum(1, keepdims=True), atol=1e-6
    )


def test_a_card_whose_method_differs_from_the_graph_is_refused(file: Path) -> None:
    model = onnx.load(str(file))
    session = onnxruntime.InferenceSession(str(file), session_options(), providers=["CPUExecutionProvider"])
    card = read_card(session)
    card.heatmap_method = "gradcam"
    write_card(model, card)
    onnx.save(model, str(file))
    with pytest.raises(CardError, match="no heatmap by the method 'gradcam'"):
        Session(file, device="cpu")


def test_the_time_of_the_passes_is_learnt(
    open_handled: Callable[..., Handled], pixels: NDArray[np.uint8]
) -> None:
    handled = open_handled()
    assert not handled.engine.workers._times._further

    handled.heatmap(pixels)

    ((_, seconds),) = handled.engine.workers._times._further.items()
    assert 0 < seconds < PATIENCE
