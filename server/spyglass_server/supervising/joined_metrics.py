"""The metrics of all workers as one collector of Prometheus."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from spyglass_contract.errors import SpyglassError
from spyglass_server.observing.stall import STALL_SECONDS, stall_problem
from spyglass_server.supervising.control import ControlClient
from spyglass_server.supervising.crew import Crew
from spyglass_server.supervising.families import Family, families_of, from_bytes
from spyglass_server.supervising.joining import add_totals, join
from spyglass_server.supervising.task import worker_socket

_log = logging.getLogger(__name__)

# What a worker counts between its last reading and a crash is lost.
_EVERY_SECONDS = 1.0
# A worker that does not respond within this time keeps its last reading.
_PATIENCE_SECONDS = 2.0
_SUPERVISOR = "supervisor"
# Of each worker, it would change when one is replaced; the sums count since the supervisor has started.
_START = "process_start_time_seconds"
# The supervisor knows it better: also when no worker responds.
_SERVING = "spyglass_serving"


class JoinedMetrics(Collector):
    """Reads the workers at each scrape, and every second; safe to use from any thread."""

    def __init__(self, crew: Crew, count: int, folder: Path) -> None:
        """`count` is the number of workers that there should be, `folder` that of their private sockets."""
        self._crew = crew
        self._count = count
        self._folder = folder
        self._lock = Lock()
        self._clients: dict[int, ControlClient] = {}
        self._readings: dict[int, list[Family]] = {}
        # When each worker responded last, by `time.monotonic`.
        self._responded: dict[int, float] = {}
        self._past: dict[str, Family] = {}
        self._read_at = 0.0
        self._pool = ThreadPoolExecutor(min(count, 16), "read-metrics")
        own = CollectorRegistry()
        ProcessCollector(registry=own)
        self._own = own

    def tick(self) -> None:
        """Read the workers if the last reading is a second old."""
        if time.monotonic() - self._read_at >= _EVERY_SECONDS:
            self._read()

    def forget(self, number: int) -> None:
        """Keep the last counts of a worker that has ended, and call it no more."""
        with self._lock:
            self._past = add_totals(self._past, self._readings.pop(number, []))
            self._responded.pop(number, None)
            client = self._clients.pop(number, None)
        if client:
            client.close()

    def stalled(self) -> str:
        """Return which worker makes no progress, or does not respond; empty: each does."""
        now = time.monotonic()
        with self._lock:
            readings, responded = dict(self._readings), dict(self._responded)
        for number, moment in responded.items():
            if now - moment > STALL_SECONDS:
                return f"worker {number} has not responded for {now - moment:.0f} s"
            seconds = max(_values(readings.get(number, []), "spyglass_stalled_seconds"), default=0.0)
            if problem := stall_problem(seconds):
                return f"worker {number}: {problem}"
        return ""

    def collect(self) -> Iterator[Metric]:
        """Read the workers, and yield the metrics of all of them."""
        self._read()
        serving = len(self._crew.serving)
        yield GaugeMetricFamily(
            _SERVING, "1 if a worker of the server accepts requests.", value=float(serving > 0)
        )
        yield GaugeMetricFamily(
            "spyglass_workers", "Worker processes that there should be.", value=self._count
        )
        yield GaugeMetricFamily("spyglass_workers_serving", "Worker processes that serve.", value=serving)
        yield CounterMetricFamily(
            "spyglass_workers_replaced",
            "Worker processes that have ended and were replaced.",
            value=self._crew.replaced,
        )
        own = {family.name: family for family in families_of(self._own)}
        if started := own.pop(_START, None):
            yield started.metric()
        with self._lock:
            past = self._past
            readings = {str(number): self._readings[number] for number in sorted(self._readings)}
        for family in join(past, {**readings, _SUPERVISOR: list(own.values())}):
            yield family.metric()

    def _read(self) -> None:
        self._read_at = time.monotonic()
        list(self._pool.map(self._read_one, self._crew.serving))

    def _read_one(self, number: int) -> None:
        with self._lock:
            client = self._clients.get(number)
            if client is None:
                client = self._clients[number] = ControlClient(worker_socket(self._folder, number))
                self._responded[number] = time.monotonic()
        try:
            families = from_bytes(client.call("Metrics", seconds=_PATIENCE_SECONDS))
        except SpyglassError as error:
            _log.debug("the metrics of worker %d could not be read: %s", number, error.message)
            return
        # The channel was closed meanwhile, as the worker has ended.
        except ValueError:
            return
        kept = [family for family in families if family.name not in (_START, _SERVING)]
        with self._lock:
            # Otherwise the worker has ended meanwhile, and its last counts are kept already.
            if self._clients.get(number) is client:
                self._readings[number] = kept
                self._responded[number] = time.monotonic()


def _values(families: list[Family], name: str) -> list[float]:
    return [value for family in families if family.name == name for value in family.samples.values()]
