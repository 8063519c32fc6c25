"""OpenVINO: the same outputs as ONNX Runtime, and refusals."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from plain_images import COLORS, encode_image
from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.heatmap_pb2 import HeatmapRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import ListModelsRequest, ModelCard
from spyglass_contract.errors import CertificateError, ModelError
from spyglass_contract.model.certificate import verify
from spyglass_server.engine.capacity.processor_flags import processor_flags
from spyglass_server.engine.models.bundled import bundled_models
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.engine.models.model_files import model_files
from spyglass_server.engine.models.session import Session
from tiny_files import write_model

pytest.importorskip("spyglass_server.engine.models.providers.openvino_runtime")

Compute = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
with_bf16 = pytest.mark.skipif(
    not processor_flags() & {"avx512_bf16", "amx_bf16"}, reason="this processor has no instructions for bf16"
)


def _noise(images: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.RandomState(seed).randint(0, 256, (images, 8, 8, 3), np.uint8)


@pytest.fixture
def session(explaining_models: Path) -> Session:
    return Session(explaining_models / "colors/1/model.onnx", provider="openvino", parallel_runs=2)


@pytest.mark.parametrize("images", [1, 2, 5])
def test_a_batch_has_the_outputs_of_the_network(
    session: Session, classify_colors: Compute, images: int
) -> None:
    pixels = _noise(images)

    assert session.provider == "OpenVINO"
    np.testing.assert_allclose(session.run(pixels), classify_colors(pixels), atol=1e-6)


def test_pixels_that_cannot_be_written_to_are_read(session: Session, classify_colors: Compute) -> None:
    for images in (1, 3):
        pixels = _noise(images)
        pixels.flags.writeable = False
        np.testing.assert_allclose(session.run(pixels), classify_colors(pixels), atol=1e-6)


def test_an_output_whose_size_depends_on_the_pixels_is_returned(
    make_card: Callable[..., ModelCard], tmp_path: Path
) -> None:
    """The network returns the first three of its channels; the number comes from a maximum of the pixels."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["floats"], to=types.FLOAT),
            helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[1, 2], keepdims=0),
            helper.make_node("ReduceMax", ["floats"], ["most"], axes=[0, 1, 2, 3], keepdims=0),
            helper.make_node("Clip", ["most", "three", "three"], ["count"]),
            helper.make_node("Cast", ["count"], ["end"], to=types.INT64),
            helper.make_node("Reshape", ["end", "one"], ["ends"]),
            helper.make_node("Slice", ["mean", "zero", "ends", "one"], ["probabilities"]),
        ],
        "sliced",
        [helper.make_tensor_value_info("image", types.UINT8, ["batch", 8, 8, 3])],
        [helper.make_tensor_value_info("probabilities", types.FLOAT, ["batch", "classes"])],
        [
            helper.make_tensor("three", types.FLOAT, [], [3.0]),
            helper.make_tensor("one", types.INT64, [1], [1]),
            helper.make_tensor("zero", types.INT64, [1], [0]),
        ],
    )
    path = write_model(tmp_path, make_card(), graph)
    session, plain = Session(path, provider="openvino"), Session(path, device="cpu")

    for images in (1, 2):
        pixels = _noise(images)
        np.testing.assert_allclose(session.run(pixels), plain.run(pixels), atol=1e-4)


def test_runs_at_the_same_time_do_not_mix(session: Session, classify_colors: Compute) -> None:
    def differs(seed: int) -> float:
        pixels = _noise(1 + seed % 3, seed)
        return float(np.abs(session.run(pixels) - classify_colors(pixels)).max())

    with ThreadPoolExecutor(8) as threads:
        assert max(threads.map(differs, range(400))) < 1e-6


def test_heatmaps_are_those_of_onnx_runtime(session: Session, explaining_models: Path) -> None:
    pixels = _noise(1)
    plain = Session(explaining_models / "colors/1/model.onnx", device="cpu")

    probabilities, maps = session.explain(pixels, [0, 2])

    assert (session.provider, session.heatmap_provider) == ("OpenVINO", "CPUExecutionProvider")
    for found, expected in zip((probabilities, maps), plain.explain(pixels, [0, 2]), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_outputs_that_differ_from_the_certificate_are_refused(
    make_card: Callable[..., ModelCard], make_model: Callable[..., Path]
) -> None:
    card = make_card()
    card.certificate.images[0].expected[0] -= 0.01

    with pytest.raises(CertificateError, match=r"differ from the certificate's by 0\.01, more than 1e-04"):
        Model.load(make_model(card), Resources(provider="openvino"))


def test_a_session_for_heatmaps_that_differs_from_the_certificate_is_refused(
    make_card: Callable[..., ModelCard],
    make_model: Callable[..., Path],
    attach_heatmap: Callable[[Path], Path],
) -> None:
    card = make_card()
    card.certificate.tensors[1].expected[0] += 0.01
    session = Session(attach_heatmap(make_model(card)), provider="openvino")

    with pytest.raises(CertificateError, match=r"colors on CPUExecutionProvider: .* differ from"):
        session.explain(_noise(1), [0])


def test_openvino_sends_no_telemetry(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from spyglass_server.engine.models.providers.openvino_runtime import openvino\n"
        "openvino.Core()\n"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry')])"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}

    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60
    )

    assert (ended.returncode, ended.stdout.strip()) == (0, "[]"), ended.stderr
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model")

    with pytest.raises(ModelError, match="no ONNX model"):
        Session(path, provider="openvino")


def test_float32_is_exact_on_processors_that_have_bf16(segmenting_models: Path) -> None:
    session = Session(segmenting_models / "stretch/1/model.onnx", provider="openvino")

    assert verify(session.card, session.run).max_abs_diff < 1e-5


def test_responses_name_the_provider_of_classes_and_of_heatmaps(
    run_server: Callable[..., Any], explaining_models: Path
) -> None:
    vision = run_server(models=explaining_models, provider="openvino", default_model=["colors"]).vision
    image = Image(encoded=encode_image(PIL.Image.new("RGB", (20, 12), COLORS["red"])))

    classified = vision.Classify(ClassifyRequest(image=image))
    explained = vision.Heatmap(HeatmapRequest(image=image))

    assert classified.classes[0].name == explained.classes[0].name == "red"
    assert classified.served_by.provider == "OpenVINO"
    assert explained.served_by.provider == "CPUExecutionProvider"
    assert explained.served_by.sha256 == classified.served_by.sha256
    assert {model.provider for model in vision.ListModels(ListModelsRequest()).models} == {"OpenVINO"}


@pytest.mark.slow
@pytest.mark.parametrize("path", model_files(bundled_models()), ids=lambda path: path.parent.parent.name)
def test_every_bundled_model_reproduces_its_certificate(path: Path) -> None:
    session = Session(path, provider="openvino")

    assert verify(session.card, session.run).max_abs_diff < 1e-5


@with_bf16
def test_bf16_is_near_float32_and_not_equal() -> None:
    path = bundled_models() / "mnist-convnet/1/model.onnx"
    pixels = np.random.RandomState(0).randint(0, 256, (1, 28, 28, 1), np.uint8)
    exact = Session(path, provider="openvino")
    reduced = Session(path, precision="bf16")

    assert (reduced.provider, reduced.precision) == ("OpenVINO", "bf16")
    difference = np.abs(reduced.run(pixels) - exact.run(pixels)).max()
    assert 0 < difference < 0.02
    # Heatmaps stay exact.
    np.testing.assert_array_equal(reduced.explain(pixels, [1])[1], exact.explain(pixels, [1])[1])
