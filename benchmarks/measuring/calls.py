"""What client processes measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Calls:
    """The calls of one process or of all that ended in a window.

    `latencies` are the seconds of each call with a result, `failures` the number of calls of each status,
    and `cpu_seconds` the processor time of the client processes in the window.
    """

    latencies: NDArray[np.float64]
    failures: Counter[str]
    cpu_seconds: float

    @classmethod
    def joined(cls, parts: Sequence[Calls]) -> Calls:
        """Return the calls of several processes as one."""
        failures: Counter[str] = Counter()
        for part in parts:
            failures.update(part.failures)
        latencies = np.concatenate([part.latencies for part in parts])
        return cls(latencies, failures, sum(part.cpu_seconds for part in parts))

    def milliseconds(self, percent: float) -> float:
        """Return what `percent` of the calls with a result did not exceed; NaN without any."""
        return percentile_ms(self.latencies, percent)


def percentile_ms(seconds: NDArray[np.float64], percent: float) -> float:
    """Return a percentile in milliseconds; NaN without values."""
    return float(np.percentile(seconds, percent)) * 1e3 if len(seconds) else float("nan")
