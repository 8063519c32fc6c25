"""What requests did: how many there were, how they ended, and how long each stage took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from threading import Lock

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from spyglass_server.engine.observation import Observation
from spyglass_server.observing.metrics.request_families import RequestFamilies
from spyglass_server.observing.metrics.request_group import RequestGroup

_VISION = "/spyglass.v1.Vision/"

# Status codes of requests that the server refused, and of those that it did not finish.
_REFUSED = frozenset({"RESOURCE_EXHAUSTED", "UNAVAILABLE", "UNAUTHENTICATED", "PERMISSION_DENIED"})
_DROPPED = frozenset({"DEADLINE_EXCEEDED", "CANCELLED"})
# Reasons are the server's own. If one was ever made of a text of a caller, the rest would share a name.
_MOST_REASONS = 64
_OTHER_REASON = "OTHER"


class RequestMetrics(Collector):
    """An observer that counts. Labels come from the server's own names, so their number is bounded.

    A request takes one lock. The metrics are made at a scrape.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._groups: dict[tuple[str, str, int], RequestGroup] = {}
        self._streams: Counter[tuple[str, str]] = Counter()
        self._refused: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()

    def __call__(self, observation: Observation) -> None:
        """Count a request."""
        code = observation.code
        with self._lock:
            if observation.kind == "image":
                self._group_of(observation).add_stages(observation)
                return
            if code in _REFUSED:
                _count_reason(self._refused, observation)
            elif code in _DROPPED:
                _count_reason(self._dropped, observation)
            if observation.kind == "stream":
                self._streams[short_method(observation.method), code] += 1
                return
            group = self._group_of(observation)
            group.add(observation)
            if code == "OK":
                group.add_stages(observation)

    def collect(self) -> Iterable[Metric]:
        """Return the metrics of all requests so far."""
        families = RequestFamilies()
        # It takes a fraction of a millisecond for each model. The texts are made without the lock.
        with self._lock:
            families.add(self._groups.values())
            families.add_reasons(self._streams, self._refused, self._dropped)
        return families.all()

    def _group_of(self, observation: Observation) -> RequestGroup:
        card = observation.model.card if observation.model else None
        key = (observation.method, card.name, card.version) if card else (observation.method, "", 0)
        return self._groups.get(key) or self._new_group(*key)

    def _new_group(self, path: str, name: str, version: int) -> RequestGroup:
        group = RequestGroup(short_method(path), name, str(version) if version else "")
        return self._groups.setdefault((path, name, version), group)


def _count_reason(counts: Counter[str], observation: Observation) -> None:
    reason = observation.reason or observation.code
    known = reason in counts or len(counts) < _MOST_REASONS
    counts[reason if known else _OTHER_REASON] += 1


def short_method(path: str) -> str:
    """Return `Classify` for a method of Vision, and `SERVICE/METHOD` for others."""
    return path[len(_VISION) :] if path.startswith(_VISION) else path.lstrip("/")
