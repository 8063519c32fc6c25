"""ONNX Runtime, its telemetry, and the execution provider that the settings choose."""

from __future__ import annotations

import os
from collections.abc import Iterator

from spyglass_cli.diagnosing.finding import Finding, Subject, fail, ok, warn


def check_device(subject: Subject) -> Iterator[Finding]:
    """Find a device, a provider or a precision that this machine does not have."""
    from spyglass_contract.onnx_runtime import onnxruntime
    from spyglass_server.engine.models.providers.placement import DeviceError, Placement
    from spyglass_server.engine.models.providers.registry import choose

    settings = subject.settings
    # `auto` and int8 run at whatever provider there is.
    precision = settings.precision if settings.precision in ("fp32", "bf16") else "fp32"
    placement = Placement(settings.device, settings.threads_per_worker, precision=precision)
    try:
        provider = choose(settings.provider, placement)
    except DeviceError as error:
        yield fail(error.message)
        return
    runtime = f"ONNX Runtime {onnxruntime.__version__} runs at {provider.label}"
    if os.environ.get("ORT_DISABLE_TELEMETRY") == "1":
        yield ok(f"{runtime}, without its telemetry")
    else:
        yield warn(
            f"{runtime}, and may send events to Microsoft",
            "remove ORT_DISABLE_TELEMETRY from the environment: Spyglass then turns it off",
        )
