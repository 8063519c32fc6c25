"""A counter that something else counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class ReadCounter(Collector):
    """One counter without labels, which is read at each scrape."""

    def __init__(self, name: str, text: str, read: Callable[[], float]) -> None:
        """`name` is without `_total`; `read` must not block."""
        self._name = name
        self._text = text
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield the counter."""
        yield CounterMetricFamily(self._name, self._text, value=self._read())
