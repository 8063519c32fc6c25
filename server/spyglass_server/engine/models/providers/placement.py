"""Where and how a network runs: the device, the threads, the precision and the limits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from spyglass_contract.errors import ModelError
from spyglass_server.engine.models.choices import DEVICE_PATTERN, DEVICES, ComputePrecision


class DeviceError(ModelError):
    """The requested device or provider is missing; the server never uses another one instead."""

    default_reason = "DEVICE_UNAVAILABLE"


@dataclass(frozen=True)
class Placement:
    """Where and how a network runs."""

    # auto, cpu, cuda, cuda:N, or several GPUs as cuda:0,cuda:1.
    device: str = "auto"
    # Threads of one run.
    threads: int = 1
    # The largest number of runs at the same time.
    parallel_runs: int = 1
    precision: ComputePrecision = "fp32"
    # The largest batch that TensorRT builds an engine for; 0: the provider's default.
    max_batch: int = 0
    # Bytes that ONNX Runtime may take on each GPU; 0: no limit.
    gpu_memory_limit: int = 0
    # Folder of the engines that TensorRT has built; None: below the user's cache folder.
    engine_cache: Path | None = None


def cuda_ids(device: str) -> list[int]:
    """Return the numbers of the GPUs that `device` names; an empty list for auto and cpu.

    `cuda` means the first GPU. Raises DeviceError for an unknown device, or a GPU that is named twice.
    """
    if not re.fullmatch(DEVICE_PATTERN, device):
        raise DeviceError(f"the device must be {DEVICES}, not {device[:100]!r}")
    if not device.startswith("cuda"):
        return []
    ids = [int(name.partition(":")[2] or "0") for name in device.split(",")]
    if len(set(ids)) < len(ids):
        raise DeviceError(f"the devices must be different GPUs, not {device!r}: name each GPU once")
    return ids
