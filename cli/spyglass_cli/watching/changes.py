"""What has changed between two snapshots, also if the server was restarted in between."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from spyglass_cli.watching.snapshot import Snapshot

_STARTED = "process_start_time_seconds"


@dataclass(frozen=True)
class Changes:
    """The increase of counters from `before` to `now`."""

    before: Snapshot
    now: Snapshot

    @property
    def restarted(self) -> bool:
        """Whether the two are of different processes, whose counters began at 0."""
        return self.before.value(_STARTED) != self.now.value(_STARTED)

    @property
    def seconds(self) -> float:
        """The time between them."""
        return max(self.now.moment - self.before.moment, 1e-9)

    def increases(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """Yield the labels and the increase of each counter called `name`."""
        earlier = {} if self.restarted else self.before.values.get(name, {})
        for labels, value in self.now.values.get(name, {}).items():
            yield dict(labels), max(value - earlier.get(labels, 0.0), 0.0)

    def by(self, label: str, name: str) -> dict[str, float]:
        """Return the increases that are not 0, summed for each value of `label`, the largest first."""
        sums: dict[str, float] = {}
        for labels, increase in self.increases(name):
            sums[labels.get(label, "")] = sums.get(labels.get(label, ""), 0.0) + increase
        return {key: sums[key] for key in sorted(sums, key=lambda key: -sums[key]) if sums[key]}

    def total(self, name: str, **only: str) -> float:
        """Return the sum of the increases of the counters with the labels `only`."""
        return sum(increase for labels, increase in self.increases(name) if only.items() <= labels.items())

    def quantile(self, part: float, name: str, **only: str) -> float | None:
        """Return a quantile of a histogram's new entries, as PromQL's `histogram_quantile` does.

        None: there are no new entries. Infinite: it is beyond the last bound.
        """
        buckets: dict[float, float] = {}
        for labels, increase in self.increases(f"{name}_bucket"):
            if only.items() <= labels.items():
                bound = float(labels["le"])
                buckets[bound] = buckets.get(bound, 0.0) + increase
        count = buckets.get(math.inf, 0.0)
        if not count:
            return None
        rank, lower, below = part * count, 0.0, 0.0
        for bound in sorted(buckets):
            if buckets[bound] >= rank:
                if math.isinf(bound):
                    return math.inf
                inside = buckets[bound] - below
                return lower + (bound - lower) * ((rank - below) / inside if inside else 1.0)
            lower, below = bound, buckets[bound]
        return math.inf
