"""All metrics of a server, and their port."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from spyglass_server.engine.engine import Engine
from spyglass_server.engine.models.lifecycle.lifecycle import Lifecycle
from spyglass_server.limits import WireLimits
from spyglass_server.logs import dropped_lines
from spyglass_server.observing.capture import Capture
from spyglass_server.observing.metrics.cached_responses import CachedResponses
from spyglass_server.observing.metrics.counter import ReadCounter
from spyglass_server.observing.metrics.http import Check, MetricsPort
from spyglass_server.observing.metrics.model_drift import ModelDrift
from spyglass_server.observing.metrics.model_versions import ModelVersions
from spyglass_server.observing.metrics.requests import RequestMetrics
from spyglass_server.observing.metrics.state import Gauge, ServerState, server_gauges
from spyglass_server.observing.statistics import SeenByModels


class Metrics:
    """The registry, the observer that counts requests, and the port."""

    def __init__(
        self,
        engine: Engine,
        limits: WireLimits,
        is_serving: Callable[[], bool],
        lifecycle: Lifecycle,
        certificate_seconds: Callable[[], float] | None = None,
        seen: SeenByModels | None = None,
        capture: Capture | None = None,
    ) -> None:
        """See `Observing` for the arguments."""
        # Otherwise each counter has a second series with the time when it began.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        gauges = server_gauges(engine, limits, is_serving)
        if certificate_seconds:
            text = "Time until the certificate of the server ends."
            gauges.append(Gauge("spyglass_certificate_left_seconds", text, certificate_seconds))
        self.registry.register(ServerState(gauges, engine))
        self.registry.register(ModelVersions(lifecycle))
        if engine.responses:
            self.registry.register(CachedResponses(engine.responses))
        if seen:
            self.registry.register(ModelDrift(seen, engine))
        self._count("spyglass_log_dropped_lines", "Lines of the log that nobody read in time.", dropped_lines)
        if capture:
            self._count("spyglass_stored", "Requests that were stored.", lambda: capture.written)
            text = "Requests of the sample that were not stored: the disk was slow, full or not writable."
            self._count("spyglass_not_stored", text, lambda: capture.left_out)
        self.observer = RequestMetrics()
        self.registry.register(self.observer)

    def _count(self, name: str, text: str, read: Callable[[], int]) -> None:
        self.registry.register(ReadCounter(name, text, read))

    def listen(
        self, host: str, port: int, alive: Check, ready: Check, well: Callable[[], str]
    ) -> MetricsPort:
        """Return the port of the metrics; see `MetricsPort`. Raises ListenError."""
        return MetricsPort(host, port, self.registry, alive, ready, well=well)
