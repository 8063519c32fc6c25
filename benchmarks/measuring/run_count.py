"""How many runs of a network fit in a time."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from spyglass_server.engine.models.providers.provider import Run


def count_runs(run: Run, pixels: NDArray[np.uint8], seconds: float) -> int:
    """Return how many runs take about `seconds`, and warm up."""
    run(pixels)
    started = time.perf_counter()
    run(pixels)
    return max(1, round(seconds / (time.perf_counter() - started)))
