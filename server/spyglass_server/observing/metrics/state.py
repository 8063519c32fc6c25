"""What the server holds at the moment of a scrape: work, streams, bytes and models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from spyglass_server.engine.engine import Engine
from spyglass_server.limits import WireLimits


@dataclass(frozen=True)
class Gauge:
    """A number that is read at each scrape; `read` must not block."""

    name: str
    help: str
    read: Callable[[], float]


def server_gauges(engine: Engine, limits: WireLimits, is_serving: Callable[[], bool]) -> list[Gauge]:
    """Return the gauges of a server."""
    workers = engine.workers
    return [
        Gauge("spyglass_serving", "1 if the server accepts requests.", lambda: float(is_serving())),
        Gauge("spyglass_concurrency", "Requests that can run at a time.", lambda: workers.count),
        Gauge("spyglass_lost_workers", "Threads whose callers have all gone.", lambda: workers.lost),
        Gauge("spyglass_inside_requests", "Requests that wait or run.", lambda: workers.inside),
        Gauge("spyglass_queue_requests", "Requests that wait for a worker.", lambda: workers.queued),
        Gauge(
            "spyglass_queue_work_seconds",
            "Expected time of the work in the queue, for one worker.",
            lambda: workers.queued_seconds,
        ),
        Gauge(
            "spyglass_stalled_seconds",
            "Time for which requests wait while none begins or ends.",
            lambda: workers.stalled_seconds,
        ),
        Gauge("spyglass_held_bytes", "Bytes of requests that are held.", lambda: limits.bytes_in_flight.held),
        Gauge(
            "spyglass_held_bytes_limit",
            "Bytes of requests that may be held.",
            lambda: limits.bytes_in_flight.limit,
        ),
        Gauge(
            "spyglass_receiving_requests",
            "Calls whose request has not arrived.",
            lambda: len(limits.receptions),
        ),
        Gauge("spyglass_open_streams", "Streams that are open.", lambda: len(limits.streams)),
    ]


class ServerState(Collector):
    """The gauges of a server, and its models."""

    def __init__(self, gauges: Iterable[Gauge], engine: Engine) -> None:
        self._gauges = tuple(gauges)
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """Read everything."""
        for gauge in self._gauges:
            yield GaugeMetricFamily(gauge.name, gauge.help, value=gauge.read())
        models = InfoMetricFamily("spyglass_model", "Models that are served.")
        batches = GaugeMetricFamily(
            "spyglass_model_max_batch", "Largest number of images in one run.", labels=("model", "version")
        )
        loads = GaugeMetricFamily(
            "spyglass_model_load_seconds",
            "Time to load a model, with the replay of its certificate.",
            labels=("model", "version"),
        )
        for model in self._engine.repository:
            served_by = model.served_by
            labels = {"model": served_by.model, "version": str(served_by.version)}
            models.add_metric(
                (),
                {
                    **labels,
                    "provider": served_by.provider,
                    "precision": served_by.precision,
                    "sha256": served_by.sha256,
                },
            )
            batches.add_metric(tuple(labels.values()), model.max_batch)
            loads.add_metric(tuple(labels.values()), model.load_seconds)
        yield models
        yield batches
        yield loads
