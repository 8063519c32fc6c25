"""A rate with a burst: the generic cell rate algorithm.

It is the virtual scheduling algorithm of ITU-T I.371, annex A, with a cost for each request. It keeps one
number, and needs no thread that refills a bucket.
"""

from __future__ import annotations

BURST_SECONDS = 2.0
"""A caller that was silent may send the requests of so many seconds at once, and one more."""

# Less than this is the rounding of sums of times.
_ROUNDING_SECONDS = 1e-6


class Rate:
    """What one caller may use of something a second, such as requests; not safe for several threads."""

    __slots__ = ("_empty_at", "per_second")

    def __init__(self, per_second: float) -> None:
        """`per_second` is more than 0."""
        self.per_second = per_second
        # The time at which all that was used is paid for.
        self._empty_at = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may come, 0 if it may come now."""
        seconds = self._empty_at - now - BURST_SECONDS
        return seconds if seconds > _ROUNDING_SECONDS else 0.0

    def take(self, cost: float, now: float) -> None:
        """Use `cost`; it may exceed what is left, and later requests wait for it."""
        self._empty_at = max(self._empty_at, now) + cost / self.per_second
