"""The metrics of a server at one moment."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from spyglass_contract.errors import SpyglassError

_SECONDS = 5.0
# Far more than any server has.
_MAX_BYTES = 16 * 1024 * 1024

Labels = frozenset[tuple[str, str]]


class MetricsError(SpyglassError):
    """The metrics of a server cannot be read."""

    default_reason = "METRICS_UNAVAILABLE"


@dataclass(frozen=True)
class Snapshot:
    """Every value, by name and labels, and when they were read (seconds of `time.monotonic()`)."""

    values: Mapping[str, Mapping[Labels, float]]
    moment: float

    def of(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """Yield the labels and the value of each sample called `name`."""
        for labels, value in self.values.get(name, {}).items():
            yield dict(labels), value

    def value(self, name: str) -> float:
        """Return the sum of the samples called `name`, 0 if there are none."""
        return sum(self.values.get(name, {}).values())


def parse(text: str, moment: float) -> Snapshot:
    """Return the metrics in Prometheus's text format. Raises MetricsError if there are none of a server."""
    # The library of an extra.
    from prometheus_client.parser import text_string_to_metric_families

    values: dict[str, dict[Labels, float]] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                values.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    # What the library raises for text of another kind, such as a page of HTML.
    except Exception as error:
        raise MetricsError(f"the response is not in Prometheus's text format: {error}") from error
    if "spyglass_serving" not in values:
        raise MetricsError(
            "the response has no metric spyglass_serving: is it the metrics port of a Spyglass server?"
        )
    return Snapshot(values, moment)


def fetch(address: str) -> Snapshot:
    """Return the metrics of HOST:PORT. Raises MetricsError."""
    url = f"http://{address}/metrics"
    try:
        # A proxy of the environment knows nothing of this network.
        with build_opener(ProxyHandler({})).open(url, timeout=_SECONDS) as response:
            text = response.read(_MAX_BYTES + 1).decode("utf-8", "replace")
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise MetricsError(
            f"no metrics from {url}: {reason}; start the server with --metrics-port, "
            "and give its address to --metrics"
        ) from error
    if len(text) > _MAX_BYTES:
        raise MetricsError(f"no metrics from {url}: the response has more than {_MAX_BYTES} bytes")
    return parse(text, time.monotonic())
