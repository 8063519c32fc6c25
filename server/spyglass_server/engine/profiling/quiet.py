"""The moments in which the server has no work, so that a measurement delays no request."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from threading import Event
from typing import Protocol

# So long must the server have had no request before a measurement begins, in seconds.
_QUIET_SECONDS = 0.01
# Each interruption doubles that time up to this, so that few requests of a busy server meet a measurement.
_LONGEST_PAUSE_SECONDS = 5.0


class Load(Protocol):
    """The interface of `Engine` that tells whether the server has work."""

    @property
    def inside(self) -> int:
        """The number of requests that wait or run."""

    @property
    def admitted(self) -> int:
        """The number of requests that have come in since the start."""


class Stopped(Exception):
    """The server ends, has been busy for too long, or has replaced the model: the measurement ends, too."""


class Quiet:
    """Waits until the server has no work, and notices work that came during a measurement."""

    def __init__(
        self,
        load: Load,
        stopped: Event,
        ends: float = math.inf,
        is_needed: Callable[[], bool] = lambda: True,
    ) -> None:
        """Give the measurement up at `ends`, in seconds of `time.monotonic()`, or if it is not needed."""
        self._ends = ends
        self._is_needed = is_needed
        self._load = load
        self._stopped = stopped
        self._admitted = load.admitted
        self._pause = _QUIET_SECONDS

    def wait(self) -> None:
        """Return when the server has had no request for a moment. Raises Stopped, also at the end."""
        while True:
            self._admitted = self._load.admitted
            if self._stopped.wait(self._pause) or time.monotonic() > self._ends or not self._is_needed():
                raise Stopped
            if not self.broken:
                return

    @property
    def broken(self) -> bool:
        """Whether a request has come since `wait` began to wait, or the server ends."""
        return self._load.inside > 0 or self._load.admitted != self._admitted or self._stopped.is_set()

    def record(self, *, interrupted: bool) -> None:
        """Wait longer before the next measurement if this one was interrupted, else less long."""
        self._pause = (
            min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
            if interrupted
            else max(self._pause / 2, _QUIET_SECONDS)
        )
