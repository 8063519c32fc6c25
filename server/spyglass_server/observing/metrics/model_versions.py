"""The versions of models: their states, their labels, and how many loads succeeded and failed."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from spyglass_server.engine.models.lifecycle.lifecycle import Lifecycle


class ModelVersions(Collector):
    """What a lifecycle knows at the moment of a scrape."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def collect(self) -> Iterator[Metric]:
        """Read everything."""
        states = GaugeMetricFamily(
            "spyglass_model_state",
            "1 for the state of a version: LOADING, SERVING, FAILED or DRAINING.",
            labels=("model", "version", "state"),
        )
        for status in self._lifecycle.statuses():
            states.add_metric((status.name, str(status.version), status.state.name), 1)
        labels = GaugeMetricFamily(
            "spyglass_model_label", "The version that a label leads to.", labels=("model", "label")
        )
        for name, (routing, _) in self._lifecycle.routings().items():
            for label, version in routing.labels.items():
                labels.add_metric((name, label), version)
        loads = CounterMetricFamily(
            "spyglass_model_loads", "Loads of versions that ended.", labels=("model", "outcome")
        )
        for (name, outcome), count in self._lifecycle.loads().items():
            loads.add_metric((name, outcome), count)
        yield states
        yield labels
        yield loads
