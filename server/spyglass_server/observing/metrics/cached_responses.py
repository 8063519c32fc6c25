"""The response cache at the moment of a scrape."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from spyglass_server.engine.response_cache.response_cache import ResponseCache


class CachedResponses(Collector):
    """Hits, misses and evictions since the start, and what the cache holds now."""

    def __init__(self, cache: ResponseCache) -> None:
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        """Read everything."""
        cache = self._cache
        for name, text, count in (
            ("hits", "Requests whose response the cache had.", cache.hits),
            ("misses", "Requests that were begun and whose response the cache did not have.", cache.misses),
            ("evictions", "Responses that the cache dropped to keep others.", cache.evicted),
        ):
            yield CounterMetricFamily(f"spyglass_response_cache_{name}", text, value=count)
        for name, text, value in (
            ("responses", "Responses in the cache.", cache.held),
            ("bytes", "Memory that the responses in the cache take.", cache.held_bytes),
            ("limit_bytes", "Memory that the responses in the cache may take.", cache.limit_bytes),
        ):
            yield GaugeMetricFamily(f"spyglass_response_cache_{name}", text, value=value)
