"""Traces over OTLP with gRPC: a queue of ended spans, and a thread that sends them to a collector."""

from __future__ import annotations

import logging
from threading import Thread

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from spyglass_server.observing.tracing.collector_log import CollectorLog
from spyglass_server.observing.tracing.tracing import Tracing

_log = logging.getLogger(__name__)

_SERVICE = "spyglass"
# How long a sender whose time is over may take to notice it, in seconds.
_ABANDONED_SECONDS = 0.5


class OtlpTracing(Tracing):
    """Tracing to a collector. The queue is bounded: spans that it has no place for are dropped.

    The variables OTEL_EXPORTER_OTLP_… (headers, certificates, compression, timeout), OTEL_BSP_… (the queue),
    OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES apply.
    """

    def __init__(self, endpoint: str, sample: float) -> None:
        """Send to `endpoint`, such as http://collector:4317. Raises ValueError for an invalid variable."""
        self._lines = CollectorLog()
        self._exporter = OTLPSpanExporter(endpoint, insecure=endpoint.startswith("http://"))
        self._provider = TracerProvider(ALWAYS_ON, _resource(), shutdown_on_exit=False)
        self._lines.open()
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        super().__init__(self._provider.get_tracer("spyglass_server"), sample)
        _log.info("traces go to %s; of requests without a caller's trace, %g %%", endpoint, 100 * sample)

    def close(self, seconds: float) -> None:
        """Send what is left, for at most `seconds`; may be called again."""
        # The library waits for up to half a minute.
        sending = Thread(target=self._provider.shutdown, name="last-traces", daemon=True)
        sending.start()
        sending.join(seconds)
        if sending.is_alive():
            _log.warning("the last traces could not be sent within %.1f s", seconds)
            # It sends for up to ten seconds more, unless its exporter is shut down.
            self._exporter.shutdown()
            sending.join(_ABANDONED_SECONDS)
        self._lines.close()


def _resource() -> Resource:
    """Return who sends the traces: the service `spyglass`, unless the environment names it otherwise."""
    return Resource.create({"service.name": _SERVICE}).merge(OTELResourceDetector().detect())
