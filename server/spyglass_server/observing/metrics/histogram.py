"""A histogram of Prometheus that costs a fraction of a microsecond for each value."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from prometheus_client.utils import floatToGoString

SECONDS = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
"""Upper bounds of times: from a fast stage to the longest wait."""

IMAGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
"""Upper bounds of batch sizes."""


class Histogram:
    """Counts of values by upper bounds, and their sum. Its users share a lock.

    `prometheus_client.Histogram` takes two locks for each value, which costs several times as much.
    """

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` are the upper bounds, ascending; one more bucket has no bound."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @classmethod
    def total(cls, parts: Sequence[Histogram]) -> Histogram:
        """Return the sum of at least one histogram; all have the same bounds."""
        found = cls(parts[0]._bounds)
        found._counts = [sum(counts) for counts in zip(*(part._counts for part in parts), strict=True)]
        found._sum = sum(part._sum for part in parts)
        return found

    @property
    def sum(self) -> float:
        """The sum of all values."""
        return self._sum

    def buckets(self) -> list[tuple[str, float]]:
        """Return each upper bound as Prometheus writes it, with the number of values up to it.

        Empty if there are no values.
        """
        if not any(self._counts):
            return []
        names = [*map(floatToGoString, self._bounds), "+Inf"]
        return list(zip(names, map(float, accumulate(self._counts)), strict=True))
