"""Which of two networks is faster on this machine."""

from __future__ import annotations

import time

import numpy as np

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.model.certificate import Run, golden_tensor

_SECONDS = 0.5
_LEAST_ROUNDS = 3


def time_ratio(card: ModelCard, original: Run, reduced: Run, seconds: float = _SECONDS) -> float:
    """Return the time of one image in `reduced` divided by that in `original`.

    Both run in turns for `seconds`, and at least three times. The shortest times are compared: others at work
    on the machine only make a run longer.
    """
    pixels = golden_tensor(0, card.input)
    times: dict[Run, list[float]] = {original: [], reduced: []}
    ends = time.monotonic() + seconds
    while len(times[reduced]) < _LEAST_ROUNDS or time.monotonic() < ends:
        for run, measured in times.items():
            started = time.perf_counter()
            run(pixels)
            measured.append(time.perf_counter() - started)
    return float(np.min(times[reduced]) / np.min(times[original]))
