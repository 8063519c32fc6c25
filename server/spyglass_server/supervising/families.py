"""Families of metrics, as one process sends them to another."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]
"""The name and the labels of a sample."""


@dataclass
class Family:
    """The samples of one metric, in their order; the buckets of a histogram follow each other."""

    name: str
    kind: str
    """`counter`, `gauge`, `histogram` or `info`."""
    text: str
    samples: dict[Key, float] = field(default_factory=dict)

    def metric(self) -> Metric:
        """Return the family as Prometheus's library has it."""
        made = Metric(self.name, self.text, self.kind)
        for (name, labels), value in self.samples.items():
            made.add_sample(name, dict(labels), value)
        return made

    def labelled(self, label: str, value: str) -> Family:
        """Return the family with one more label on each sample."""
        samples = {
            (name, (*labels, (label, value))): number for (name, labels), number in self.samples.items()
        }
        return Family(self.name, self.kind, self.text, samples)


def families_of(source: Collector) -> list[Family]:
    """Return the metrics of a registry or of one collector, read now."""
    return [_family(metric) for metric in source.collect()]


def _family(metric: Metric) -> Family:
    samples = {(each.name, tuple(each.labels.items())): each.value for each in metric.samples}
    return Family(metric.name, metric.type, metric.documentation, samples)


def to_bytes(families: Iterable[Family]) -> bytes:
    """Return families as JSON; infinite values and NaN, which JSON does not have, are kept."""
    return json.dumps(
        [
            [each.name, each.kind, each.text, [[*key, value] for key, value in each.samples.items()]]
            for each in families
        ]
    ).encode()


def from_bytes(data: bytes) -> list[Family]:
    """Return the families of `to_bytes`."""
    return [
        Family(
            name,
            kind,
            text,
            {
                (sample, tuple((key, label) for key, label in labels)): value
                for sample, labels, value in samples
            },
        )
        for name, kind, text, samples in json.loads(data)
    ]
