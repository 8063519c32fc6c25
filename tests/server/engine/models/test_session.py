"""An ONNX file in ONNX Runtime: its device, and the check of the graph against its card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import TASK_SEGMENT, ModelCard
from spyglass_contract.errors import CardError, ModelError
from spyglass_server.engine.models.session import DeviceError, Session

MakeModel = Callable[..., Path]

without_cuda = pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this ONNX Runtime has CUDA"
)


def test_a_session_has_the_outputs_of_the_network(
    make_model: MakeModel, classify_colors: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
) -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (5, 8, 8, 3), np.uint8)

    probabilities = Session(make_model()).run(pixels)

    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, classify_colors(pixels), atol=1e-6)


@pytest.mark.parametrize("device", ["cpu", pytest.param("auto", marks=without_cuda)])
def test_a_session_names_its_device(make_model: MakeModel, device: str) -> None:
    assert Session(make_model(), device=device).provider == "CPUExecutionProvider"


@without_cuda
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_session_for_a_gpu_does_not_fall_back_to_another_device(make_model: MakeModel, device: str) -> None:
    with pytest.raises(DeviceError, match=f"{device} was requested, but this ONNX Runtime has no CUDA"):
        Session(make_model(), device=device)


@pytest.mark.parametrize("device", ["tpu", "cuda:", "cuda:x", "CPU", ""])
def test_an_unknown_device_is_refused(make_model: MakeModel, device: str) -> None:
    with pytest.raises(DeviceError, match="the device must be"):
        Session(make_model(), device=device)


@pytest.mark.parametrize("content", [b"", b"hello", bytes(1000), b"\x08\x07"])
def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)

    with pytest.raises(ModelError):
        Session(path)


def test_a_truncated_file_is_refused(make_model: MakeModel) -> None:
    path = make_model()
    path.write_bytes(path.read_bytes()[:200])

    with pytest.raises(ModelError, match="no ONNX model"):
        Session(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.onnx cannot be read: No such file"):
        Session(tmp_path / "model.onnx")


def test_a_model_without_a_card_is_refused(make_model: MakeModel) -> None:
    onnx = pytest.importorskip("onnx")
    path = make_model()
    model = onnx.load(str(path))
    del model.metadata_props[:]
    onnx.save(model, str(path))

    with pytest.raises(CardError, match="no model card"):
        Session(path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("tensor", "pixels", "no input 'pixels'"),
        ("height", 9, r"not tensor\(uint8\) of \['batch', 9, 8, 3\]"),
        ("color_mode", 2, r"not tensor\(uint8\) of \['batch', 8, 8, 1\]"),
    ],
)
def test_a_graph_that_differs_from_its_card_is_refused(
    make_card: Callable[..., ModelCard], make_model: MakeModel, field: str, value: object, message: str
) -> None:
    card = make_card()
    setattr(card.input, field, value)

    with pytest.raises(CardError, match=message):
        Session(make_model(card))


def test_a_classifier_whose_card_has_the_task_segment_is_refused(
    make_card: Callable[..., ModelCard], make_model: MakeModel
) -> None:
    card = make_card()
    card.task = TASK_SEGMENT

    with pytest.raises(CardError, match="the card says segment"):
        Session(make_model(card))


def test_a_graph_without_probabilities_is_refused(make_model: MakeModel) -> None:
    onnx = pytest.importorskip("onnx")
    path = make_model()
    model = onnx.load(str(path))
    model.graph.output[0].name = model.graph.node[-1].output[0] = "scores"
    onnx.save(model, str(path))

    with pytest.raises(CardError, match="no output 'probabilities'"):
        Session(path)
