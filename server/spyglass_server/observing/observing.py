"""What a server observes, by its settings."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from spyglass_server.engine.engine import Engine
from spyglass_server.engine.models.lifecycle.lifecycle import Lifecycle
from spyglass_server.limits import WireLimits
from spyglass_server.observing.capture import Capture, CaptureOptions
from spyglass_server.observing.model_totals import TotalsOfModels
from spyglass_server.observing.observers import Observer, Observers
from spyglass_server.observing.open_tracing import open_tracing
from spyglass_server.observing.request_log import RequestLog
from spyglass_server.observing.stall import stall_problem
from spyglass_server.observing.statistics import SeenByModels
from spyglass_server.settings import ServerSettings

_log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from spyglass_server.observing.metrics.http import MetricsPort


class Observing:
    """The observers of a server, in the order in which they see a request, and the port of its metrics."""

    def __init__(
        self,
        settings: ServerSettings,
        engine: Engine,
        limits: WireLimits,
        is_open: Callable[[], bool],
        lifecycle: Lifecycle,
        certificate_seconds: Callable[[], float] | None = None,
        *,
        listens: bool = True,
    ) -> None:
        """`is_open` returns whether the server accepts requests.

        `certificate_seconds` returns the time until the certificate ends; None: there is none. `listens`:
        serve the metrics here; otherwise another process reads `registry`. Raises ListenError if the port of
        the metrics cannot be bound, CaptureError if the folder for requests cannot be used, and TracingError.
        """
        self._engine = engine
        self._is_open = is_open
        self._lifecycle = lifecycle
        observers: list[Observer] = []
        if settings.access_log or settings.slow_request_seconds:
            observers.append(
                RequestLog(
                    settings.log_sample, settings.slow_request_seconds, only_slow=not settings.access_log
                )
            )
        self.seen = SeenByModels(settings.statistics_window) if settings.statistics else None
        """The statistics of the models; None: the server keeps none."""
        if self.seen:
            observers.append(self.seen)
        self.totals = TotalsOfModels()
        """What each version of a model has done."""
        observers.append(self.totals)
        self._capture = _capture(settings)
        if self._capture:
            observers.append(self._capture)
        self._tracing = open_tracing(settings.tracing_endpoint, settings.tracing_sample)
        self._port: MetricsPort | None = None
        self.registry: CollectorRegistry | None = None
        """All metrics; None: nothing is counted."""
        if settings.metrics_port is not None:
            # The library takes long to import: only a server with metrics does.
            from spyglass_server.observing.metrics.metrics import Metrics

            metrics = Metrics(
                engine, limits, is_open, lifecycle, certificate_seconds, self.seen, self._capture
            )
            observers.append(metrics.observer)
            self.registry = metrics.registry
            if listens:
                self._port = metrics.listen(
                    settings.metrics_host, settings.metrics_port, self.not_alive, self.not_ready, self._well
                )
        if self._tracing:
            observers.append(self._tracing)
        self.observers = Observers(observers, [self._tracing.begin] if self._tracing else [])

    @property
    def metrics_port(self) -> int:
        """The port of the metrics; 0: there is none."""
        return self._port.port if self._port else 0

    def start(self) -> None:
        """Respond on the port of the metrics."""
        if self._port:
            self._port.start()
            _log.info("metrics on port %d", self._port.port)

    def tick(self) -> None:
        """Do what is done a few times a second."""
        if self._port:
            self._port.sweep()

    def stop(self, seconds: float) -> None:
        """End; may be called again, and before `start`. The last traces may take `seconds` to be sent."""
        if self._port:
            self._port.stop()
        if self._capture:
            self._capture.stop()
        if self._tracing:
            self._tracing.close(seconds)

    def _well(self) -> str:
        """Return that the server accepts requests, and which versions it has refused."""
        refused = [status for status in self._lifecycle.statuses() if status.reason]
        lines = [f"refused {status.reason}: {status.message}" for status in refused]
        lines += [problem for _, problem in self._lifecycle.routings().values() if problem]
        return "\n".join(["ok", *lines])

    def not_alive(self) -> str:
        """Return why the server does not work; an empty text: it does."""
        return stall_problem(self._engine.workers.stalled_seconds)

    def not_ready(self) -> str:
        """Return why the server accepts no requests; an empty text: it does."""
        return self.not_alive() if self._is_open() else "the server does not accept requests"


def _capture(settings: ServerSettings) -> Capture | None:
    if settings.capture_folder is None:
        return None
    options = CaptureOptions(
        settings.capture_folder, settings.capture_sample, settings.capture_max_bytes, settings.workers
    )
    return Capture(options)
