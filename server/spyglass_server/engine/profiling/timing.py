"""The time of runs of a network, alone or side by side, on threads that give way to requests."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from spyglass_server.engine.capacity.priority import give_way

Result = TypeVar("Result")


class Timing:
    """Threads that run a network for a measurement, at a lower priority than those of requests."""

    def __init__(self, most_at_once: int, interrupted: Callable[[], bool]) -> None:
        """A measurement ends, without a result, when `interrupted` returns true between two runs."""
        self._interrupted = interrupted
        self._threads = ThreadPoolExecutor(most_at_once, "profile", initializer=give_way)

    def call(self, function: Callable[[], Result]) -> Result:
        """Call a function on one of the threads."""
        return self._threads.submit(function).result()

    def seconds(
        self, run: Callable[[], object], clock: Callable[[], float], *, at_once: int, repeats: int
    ) -> float | None:
        """Return the mean seconds of a run, `at_once` of which are under way at any time; None: interrupted.

        Each thread runs `repeats` times. `clock` returns seconds, of the calling thread or of the wall.
        Raises the error of the first run that fails.
        """
        begin = Barrier(at_once)
        futures = [
            self._threads.submit(self._repeat, run, clock, repeats, begin.wait) for _ in range(at_once)
        ]
        found = [future.result() for future in futures]
        measured = [seconds for seconds in found if seconds is not None]
        return sum(measured) / len(measured) if len(measured) == at_once else None

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    def _repeat(
        self,
        run: Callable[[], object],
        clock: Callable[[], float],
        repeats: int,
        begin: Callable[[], object],
    ) -> float | None:
        begin()
        began = clock()
        for _ in range(repeats):
            if self._interrupted():
                return None
            run()
        return (clock() - began) / repeats
