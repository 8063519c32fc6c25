"""The resources of a model, as the settings give them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from spyglass_contract.model_files.rules import FileRules
from spyglass_server.engine.models.choices import Precision


@dataclass(frozen=True)
class Resources:
    """The resources that a model may use."""

    # auto, cpu, cuda, cuda:N, or several GPUs as cuda:0,cuda:1.
    device: str = "auto"
    # auto, or the name of an execution provider.
    provider: str = "auto"
    # The precision of classes and masks; heatmaps are in that of the file.
    precision: Precision = "fp32"
    # Inferences at a time, and threads for each of them.
    workers: int = 1
    threads_per_worker: int = 1
    # Largest batch; 0: the default of the device.
    max_batch: int = 0
    # Channels that Score-CAM uses, those with the most energy; 0: all.
    score_cam_channels: int = 0
    # Bytes that ONNX Runtime may take on each GPU; 0: no limit.
    gpu_memory_limit: int = 0
    # Folder of the engines that TensorRT has built; None: below the user's cache folder.
    engine_cache: Path | None = None
    # The rules by which files are opened.
    rules: FileRules = field(default_factory=FileRules)
