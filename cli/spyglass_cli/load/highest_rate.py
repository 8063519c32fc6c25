"""Search for the highest rate at which a server keeps a latency."""

from __future__ import annotations

from collections.abc import Callable

from spyglass_cli.load.results import Measured

# The search ends when the rate that holds and the rate that does not differ by less.
_PRECISION = 0.05
# A rate does not hold if more of its requests fail.
_MOST_FAILED = 0.001
_FIRST_RATE = 8.0
_HIGHEST_RATE = 1e6


def find_highest_rate(
    measure: Callable[[float], Measured], percent: float, limit_ms: float
) -> Measured | None:
    """Return the measurement of the highest rate that holds `limit_ms`; None if none does.

    A rate, in requests a second, holds if `percent` of its results take at most `limit_ms`, and at most one
    request in a thousand fails. The search doubles the rate until it does not hold, and then halves the gap
    until it is below 5 %.
    """
    best: Measured | None = None
    low, high, rate = 0.0, _HIGHEST_RATE, _FIRST_RATE
    while rate <= _HIGHEST_RATE and high - low > _PRECISION * high:
        measured = measure(rate)
        if holds(measured, percent, limit_ms):
            best, low = measured, rate
        else:
            high = rate
        if low == 0 and high < 1:
            return None
        rate = low * 2 if high == _HIGHEST_RATE else (low + high) / 2
    return best


def holds(measured: Measured, percent: float, limit_ms: float) -> bool:
    """Return whether a measurement keeps the latency and its requests succeed."""
    found = measured.milliseconds(percent)
    return found is not None and found <= limit_ms and measured.failed_share <= _MOST_FAILED
