"""The time in which calls count."""

from __future__ import annotations

import time
from dataclasses import dataclass

# Time for each client process to receive its part.
_START_SECONDS = 0.1


@dataclass(frozen=True)
class Window:
    """Times of `time.monotonic`, equal in all processes: calls count from `begin` to `end`."""

    start: float
    begin: float
    end: float

    @classmethod
    def soon(cls, warm_up: float, seconds: float) -> Window:
        """Return a window that starts now and lasts `warm_up` seconds and then `seconds`."""
        start = time.monotonic() + _START_SECONDS
        return cls(start, start + warm_up, start + warm_up + seconds)

    @property
    def seconds(self) -> float:
        """Length of the part that counts."""
        return self.end - self.begin


def wait_until(moment: float) -> None:
    """Sleep until a time of `time.monotonic`."""
    time.sleep(max(moment - time.monotonic(), 0))
