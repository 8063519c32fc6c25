"""The metrics of all workers, and the HTTP port that serves them; nothing without `--metrics-port`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from spyglass_server.settings import ServerSettings
from spyglass_server.supervising.crew import Crew
from spyglass_server.ticker import Ticker

if TYPE_CHECKING:
    from spyglass_server.observing.metrics.http import MetricsPort
    from spyglass_server.supervising.joined_metrics import JoinedMetrics

_log = logging.getLogger(__name__)


class Pages:
    """`/metrics`, `/healthz` and `/readyz` of the whole server."""

    def __init__(self, settings: ServerSettings, crew: Crew, folder: Path) -> None:
        """Bind the port of the metrics, if there is one. Raises ListenError."""
        self._crew = crew
        self._count = settings.workers
        self._joined: JoinedMetrics | None = None
        self._port: MetricsPort | None = None
        if settings.metrics_port is None:
            return
        # The library takes long to import: only a server with metrics does.
        from prometheus_client import CollectorRegistry

        from spyglass_server.observing.metrics.http import MetricsPort
        from spyglass_server.supervising.joined_metrics import JoinedMetrics

        self._joined = JoinedMetrics(crew, settings.workers, folder)
        registry = CollectorRegistry()
        registry.register(self._joined)
        self._port = MetricsPort(
            settings.metrics_host,
            settings.metrics_port,
            registry,
            self._joined.stalled,
            self._not_ready,
            well=self._well,
        )
        self._ticker = Ticker([self._port.sweep, self._joined.tick])

    def start(self) -> None:
        """Respond, and read the metrics of the workers from now on."""
        if self._port:
            self._port.start()
            self._ticker.start()
            _log.info("metrics on port %d", self._port.port)

    def forget(self, number: int) -> None:
        """Keep the last counts of a worker that has ended."""
        if self._joined:
            self._joined.forget(number)

    def stop(self) -> None:
        """Respond no more; may be called before `start`."""
        if self._port:
            self._ticker.stop()
            self._port.stop()

    def _not_ready(self) -> str:
        if not self._crew.serving:
            return f"0 of {self._count} workers serve"
        return self._joined.stalled() if self._joined else ""

    def _well(self) -> str:
        return f"ok: {len(self._crew.serving)} of {self._count} workers serve"
