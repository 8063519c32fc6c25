"""How far what each model sees is from its baseline, at the moment of a scrape."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from spyglass_server.engine.engine import Engine
from spyglass_server.observing.statistics import SeenByModels


class ModelDrift(Collector):
    """The population stability index of each quantity of each model, and the images that it is of."""

    def __init__(self, seen: SeenByModels, engine: Engine) -> None:
        self._seen = seen
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """Compute everything."""
        index = GaugeMetricFamily(
            "spyglass_model_drift",
            "Population stability index of what a model sees, against the baseline in its card.",
            labels=("model", "version", "quantity"),
        )
        images = GaugeMetricFamily(
            "spyglass_model_seen_images", "Images in the statistics of a model.", labels=("model", "version")
        )
        for model in self._engine.repository:
            labels = (model.card.name, str(model.card.version))
            if statistics := self._seen.of(model):
                images.add_metric(labels, statistics.images)
            for each in self._seen.drift(model):
                index.add_metric((*labels, each.quantity), each.psi)
        yield index
        yield images
