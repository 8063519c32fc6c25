"""Opens the traces of a server, if its settings ask for them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from spyglass_contract.errors import SpyglassError

if TYPE_CHECKING:
    from spyglass_server.observing.tracing.otlp import OtlpTracing


# OpenTelemetry's own switch.
_DISABLED = "OTEL_SDK_DISABLED"


class TracingError(SpyglassError):
    """The server cannot send traces as its settings say."""

    default_reason = "TRACING_UNAVAILABLE"


def open_tracing(endpoint: str, sample: float) -> OtlpTracing | None:
    """Return what traces requests; None: nothing does. Raises TracingError."""
    if not endpoint or os.environ.get(_DISABLED, "").strip().lower() == "true":
        return None
    try:
        # The extra is imported only by servers that trace.
        from spyglass_server.observing.tracing.otlp import OtlpTracing
    except ImportError as error:
        raise TracingError(
            f"--tracing-endpoint needs OpenTelemetry, which is not installed ({error}): install Spyglass "
            "with the extra tracing"
        ) from error
    try:
        return OtlpTracing(endpoint, sample)
    # What the library raises for the variables of the environment.
    except Exception as error:
        raise TracingError(
            f"OpenTelemetry does not start ({error}): check the variables OTEL_… of the environment"
        ) from error
