"""Which of two networks is faster, by the shortest of several runs in turns."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from spyglass_server.engine.models import faster
from spyglass_server.engine.models.faster import time_ratio
from tiny_classifier import tiny_card, tiny_output

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class Clock:
    """A clock that only networks move on."""

    def __init__(self) -> None:
        self.now = 0.0

    def network(self, *seconds: float) -> Run:
        """Return a network whose runs take these times in turn."""
        runs = 0

        def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            nonlocal runs
            self.now += seconds[runs % len(seconds)]
            runs += 1
            return tiny_output(pixels)

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(faster, "time", clock)
    for name in ("monotonic", "perf_counter"):
        assert hasattr(time, name)
        monkeypatch.setattr(clock, name, lambda: clock.now, raising=False)
    return clock


def test_the_shortest_times_are_compared(clock: Clock) -> None:
    original, reduced = clock.network(0.05, 0.02, 0.09), clock.network(0.2, 0.4, 0.01)

    assert time_ratio(tiny_card(), original, reduced) == pytest.approx(0.5)


def test_slow_networks_run_three_times(clock: Clock) -> None:
    assert time_ratio(tiny_card(), clock.network(9.0, 9.0, 4.0), clock.network(6.0)) == pytest.approx(1.5)
    assert clock.now == pytest.approx(22 + 18)
