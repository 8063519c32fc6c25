"""Which execution provider runs a model, and what is refused."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest

from spyglass_server.engine.models.providers.cuda import Cuda
from spyglass_server.engine.models.providers.graph import Graph
from spyglass_server.engine.models.providers.openvino import check_bf16
from spyglass_server.engine.models.providers.placement import DeviceError, Placement, cuda_ids
from spyglass_server.engine.models.providers.provider import Opened
from spyglass_server.engine.models.providers.registry import PROVIDERS, best_batch, choose
from spyglass_server.engine.models.session import Session

without_cuda = pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this ONNX Runtime has CUDA"
)


@pytest.mark.parametrize(
    ("device", "ids"),
    [
        ("auto", []),
        ("cpu", []),
        ("cuda", [0]),
        ("cuda:3", [3]),
        ("cuda:0,cuda:1", [0, 1]),
        ("cuda:12,cuda:4,cuda:0", [12, 4, 0]),
    ],
)
def test_a_device_names_gpus_by_their_numbers(device: str, ids: list[int]) -> None:
    assert cuda_ids(device) == ids


@pytest.mark.parametrize(
    "device", ["cuda,cuda:1", "cuda:0,", "cuda:0,cpu", "cuda:0 cuda:1", "cuda:1234", "gpu"]
)
def test_a_device_that_is_none_is_refused(device: str) -> None:
    with pytest.raises(DeviceError, match="the device must be auto, cpu, cuda, cuda:N, or several GPUs as"):
        cuda_ids(device)


def test_a_gpu_that_is_named_twice_is_refused() -> None:
    with pytest.raises(DeviceError, match="different GPUs, not 'cuda:1,cuda:0,cuda:1': name each GPU once"):
        cuda_ids("cuda:1,cuda:0,cuda:1")


@pytest.mark.parametrize(
    ("name", "device"), [("auto", "cpu"), ("cpu", "auto"), pytest.param("auto", "auto", marks=without_cuda)]
)
def test_a_processor_runs_at_the_provider_of_onnx_runtime(name: str, device: str) -> None:
    assert choose(name, Placement(device)).label == "CPUExecutionProvider"


@pytest.mark.parametrize(
    ("name", "device", "message"),
    [
        (
            "openvino",
            "cuda:0",
            "openvino runs on the processor, and the device is cuda:0: use the device cpu",
        ),
        ("cpu", "cuda", "cpu runs on the processor, and the device is cuda"),
        ("cuda", "cpu", "cuda needs a GPU, and the device is cpu: use the device cuda"),
        ("tensorrt", "cpu", "tensorrt needs a GPU"),
        ("tpu", "auto", "the provider must be auto, cpu, openvino, cuda, tensorrt, not 'tpu'"),
    ],
)
def test_a_provider_that_does_not_fit_the_device_is_refused(name: str, device: str, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        choose(name, Placement(device))


@without_cuda
@pytest.mark.parametrize(
    ("name", "device", "message"),
    [
        ("cuda", "auto", "the provider cuda was requested, but .* no CUDA: install onnxruntime-gpu"),
        (
            "auto",
            "cuda:0,cuda:1",
            "the device cuda:0,cuda:1 was requested, but .* no CUDA: install onnxruntime-",
        ),
        (
            "tensorrt",
            "cuda",
            "the provider tensorrt was requested, but .* no TensorRT: install onnxruntime-gpu",
        ),
    ],
)
def test_a_missing_library_is_named_with_what_to_install(name: str, device: str, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        choose(name, Placement(device))


def test_a_missing_openvino_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DeviceError, match=r"openvino was requested, but .* with the extra openvino"):
        choose("openvino", Placement())
    with pytest.raises(DeviceError, match=r"the precision bf16 was requested, but .* the extra openvino"):
        choose("auto", Placement(precision="bf16"))


@pytest.mark.parametrize("name", ["cpu", "cuda", "tensorrt"])
def test_a_precision_that_a_provider_lacks_is_refused(name: str) -> None:
    with pytest.raises(DeviceError, match=f"the provider {name} computes in fp32, not in bf16"):
        choose(name, Placement(precision="bf16"))


@pytest.mark.parametrize("flags", [{"avx512f", "avx512_bf16"}, {"amx_bf16"}])
def test_a_processor_with_instructions_for_bf16_may_use_it(flags: set[str]) -> None:
    check_bf16("bf16", frozenset(flags))


def test_a_processor_without_instructions_for_bf16_is_refused() -> None:
    check_bf16("fp32", frozenset())
    with pytest.raises(DeviceError, match="neither avx512_bf16 nor amx_bf16, which bf16 needs: use fp32"):
        check_bf16("bf16", frozenset(("avx512f", "avx512_vnni")))


def test_a_gpu_takes_batches_by_default_and_a_processor_single_images() -> None:
    found = {name: best_batch(provider.label) for name, provider in PROVIDERS.items()}

    assert found == {"cpu": 1, "openvino": 1, "cuda": 16, "tensorrt": 16}
    assert best_batch("AnotherExecutionProvider") == 1


class CudaWithoutGpu(Cuda):
    """CUDA on a machine without a GPU: installed, and unusable."""

    def available(self) -> bool:
        return True

    def open(self, path: Path, graph: Graph, placement: Placement) -> Opened:
        raise DeviceError("ONNX Runtime put the model on CPUExecutionProvider")


def test_without_a_gpu_the_device_auto_is_the_processor_and_the_log_says_so(
    make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(PROVIDERS, "cuda", CudaWithoutGpu())
    with caplog.at_level(logging.WARNING):
        session = Session(make_model())

    assert session.provider == "CPUExecutionProvider"
    assert "the device is auto, so the processor runs the model" in caplog.text


@pytest.mark.parametrize("fields", [{"device": "cuda"}, {"provider": "cuda"}, {"device": "cuda:0,cuda:1"}])
def test_without_a_gpu_cuda_is_refused_if_it_was_requested(
    make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, fields: dict[str, str]
) -> None:
    monkeypatch.setitem(PROVIDERS, "cuda", CudaWithoutGpu())
    with pytest.raises(DeviceError, match="put the model on CPUExecutionProvider"):
        Session(make_model(), **fields)
