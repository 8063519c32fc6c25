"""TensorRT: engines that are built for one GPU, and kept in a folder."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from spyglass_contract.errors import ModelError
from spyglass_contract.images.input_spec import channels
from spyglass_contract.model_files.model_file import ModelFile
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_server.engine.models.choices import ComputePrecision
from spyglass_server.engine.models.providers.cuda import cuda_entries, load_libraries, open_on_gpus
from spyglass_server.engine.models.providers.graph import Graph
from spyglass_server.engine.models.providers.onnx_sessions import TENSORRT, ProviderEntry
from spyglass_server.engine.models.providers.padding import padded_size
from spyglass_server.engine.models.providers.placement import DeviceError, Placement
from spyglass_server.engine.models.providers.provider import Opened


class TensorRt:
    """ONNX Runtime's provider for TensorRT; what TensorRT cannot run, CUDA runs, and so do heatmaps."""

    name, label = "tensorrt", TENSORRT
    on_gpu = True
    best_batch = 16
    precisions: tuple[ComputePrecision, ...] = ("fp32",)

    def available(self) -> bool:
        """Return whether this ONNX Runtime has TensorRT; its libraries may still be missing."""
        return TENSORRT in onnxruntime.get_available_providers()

    def check(self, precision: ComputePrecision) -> None:
        """Raise DeviceError if this ONNX Runtime has no TensorRT."""
        if not self.available():
            raise DeviceError(
                "this ONNX Runtime has no TensorRT: install onnxruntime-gpu and the tensorrt that it needs"
            )

    def open(self, file: ModelFile, graph: Graph, placement: Placement) -> Opened:
        """Build or load an engine for each GPU; see `Provider.open`."""
        load_libraries()
        # TensorRT computes float32 with 10 bits of mantissa (TF32) unless this variable forbids it.
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
        folder = engine_folder(file.sha256, placement)
        return open_on_gpus(
            file,
            graph,
            placement,
            classes=partial(tensorrt_entries, graph, placement, folder),
            whole=partial(cuda_entries, placement.gpu_memory_limit),
        )


def tensorrt_entries(graph: Graph, placement: Placement, folder: Path, device_id: int) -> list[ProviderEntry]:
    """Return the entries of a session on one GPU, whose engine takes 1 to the largest batch."""
    spec = graph.card.input
    sizes = f"{spec.height}x{spec.width}x{channels(spec)}"
    most = 1 if graph.one_image else padded_size(placement.max_batch or TensorRt.best_batch)
    options = {
        "device_id": str(device_id),
        "trt_fp16_enable": "0",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
        "trt_profile_min_shapes": f"{spec.tensor}:1x{sizes}",
        "trt_profile_opt_shapes": f"{spec.tensor}:{most}x{sizes}",
        "trt_profile_max_shapes": f"{spec.tensor}:{most}x{sizes}",
    }
    if placement.gpu_memory_limit:
        options["trt_max_workspace_size"] = str(placement.gpu_memory_limit)
    return [(TENSORRT, options), *cuda_entries(placement.gpu_memory_limit, device_id)]


def engine_folder(sha256: str, placement: Placement) -> Path:
    """Make and return the folder for the engines of one file. Raises ModelError if that fails.

    ONNX Runtime names an engine by the graph, not by the weights: so each file has a folder by its `sha256`.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    root = (placement.engine_cache or cache / "spyglass" / "tensorrt").expanduser()
    try:
        folder = root / sha256
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(
            f"the folder of engines {root} cannot be used ({error.strerror}): set --engine-cache to a folder "
            "that the server may write to"
        ) from error
    return folder
