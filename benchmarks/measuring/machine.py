"""The machine and the versions that a benchmark ran with."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

from spyglass_server.engine.capacity.processors import usable_cpus

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
_PACKAGES = ("grpcio", "numpy", "onnxruntime", "pillow", "protobuf")


def describe_machine() -> dict[str, object]:
    """Return the processor, its flags that matter to inference, the usable cores, and the versions."""
    return {
        "processor": _processor(),
        "flags": processor_flags(),
        "cores": usable_cpus(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
    }


def machine_line(machine: dict[str, object]) -> str:
    """Return the description as one line of text."""
    flags, versions = machine["flags"], machine["versions"]
    assert isinstance(flags, list) and isinstance(versions, dict)
    parts = [
        f"{machine['cores']} cores of {machine['processor']}",
        " ".join(flags) or "no known flags",
        f"Python {machine['python']}",
        ", ".join(f"{name} {each}" for name, each in versions.items()),
    ]
    return "; ".join(parts)


def processor_flags() -> list[str]:
    """Return the vector and matrix extensions of the processor, as Linux names them; [] elsewhere."""
    text = _cpuinfo()
    return [flag for flag in _FLAGS if f" {flag}" in text]


def _processor() -> str:
    for line in _cpuinfo().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""
