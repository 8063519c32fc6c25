"""The execution providers by name, and the choice of one."""

from __future__ import annotations

import logging

from spyglass_contract.model_files.model_file import ModelFile
from spyglass_server.engine.models.choices import ComputePrecision
from spyglass_server.engine.models.providers.cpu import Cpu
from spyglass_server.engine.models.providers.cuda import Cuda
from spyglass_server.engine.models.providers.graph import Graph
from spyglass_server.engine.models.providers.openvino import OpenVino
from spyglass_server.engine.models.providers.placement import DeviceError, Placement, cuda_ids
from spyglass_server.engine.models.providers.provider import Opened, Provider
from spyglass_server.engine.models.providers.tensorrt import TensorRt

_log = logging.getLogger(__name__)

_ALL: tuple[Provider, ...] = (Cpu(), OpenVino(), Cuda(), TensorRt())
PROVIDERS: dict[str, Provider] = {provider.name: provider for provider in _ALL}


def choose(name: str, placement: Placement) -> Provider:
    """Return the provider with this name, or for auto the one that suits the placement.

    auto is CUDA if the device is a GPU, or auto and this ONNX Runtime has CUDA; OpenVINO for a precision that
    only OpenVINO has; and ONNX Runtime's own otherwise. Raises DeviceError if the provider cannot run here,
    on this device or with this precision.
    """
    device, precision = placement.device, placement.precision
    gpus = cuda_ids(device)
    provider = _named(name) if name != "auto" else _automatic(bool(gpus), device, precision)
    if gpus and not provider.on_gpu:
        raise DeviceError(
            f"the provider {name} runs on the processor, and the device is {device}: use the device cpu, or "
            "the provider cuda or tensorrt"
        )
    if device == "cpu" and provider.on_gpu:
        raise DeviceError(f"the provider {name} needs a GPU, and the device is cpu: use the device cuda")
    if precision not in provider.precisions:
        raise DeviceError(
            f"the provider {provider.name} computes in {' or '.join(provider.precisions)}, not in {precision}"
        )
    try:
        provider.check(precision)
    except DeviceError as error:
        raise DeviceError(f"{_wish(name, device, precision)} was requested, but {error.message}") from error
    return provider


def open_file(name: str, file: ModelFile, graph: Graph, placement: Placement) -> Opened:
    """Open a file at the provider that `choose` returns.

    If the provider and the device are auto, and ONNX Runtime has CUDA but can use no GPU, the processor runs
    the model. Raises DeviceError, and ModelError if the provider cannot load the file.
    """
    chosen = choose(name, placement)
    try:
        return chosen.open(file, graph, placement)
    except DeviceError as error:
        if (name, placement.device) != ("auto", "auto"):
            raise
        _log.warning("%s; the device is auto, so the processor runs the model", error.message)
        return PROVIDERS["cpu"].open(file, graph, placement)


def best_batch(label: str) -> int:
    """Return the largest batch by default at the provider with this name in responses; 1 if it is unknown."""
    return next((provider.best_batch for provider in _ALL if provider.label == label), 1)


def _named(name: str) -> Provider:
    if name not in PROVIDERS:
        raise DeviceError(f"the provider must be auto, {', '.join(PROVIDERS)}, not {name[:100]!r}")
    return PROVIDERS[name]


def _automatic(on_gpu: bool, device: str, precision: ComputePrecision) -> Provider:
    cpu, cuda = PROVIDERS["cpu"], PROVIDERS["cuda"]
    if on_gpu or (device == "auto" and cuda.available() and precision in cuda.precisions):
        return cuda
    return cpu if precision in cpu.precisions else PROVIDERS["openvino"]


def _wish(name: str, device: str, precision: ComputePrecision) -> str:
    if name != "auto":
        return f"the provider {name}"
    return f"the precision {precision}" if device in ("auto", "cpu") else f"the device {device}"
