"""Permits for a bounded number of requests; the rest are refused at once, with a time to retry."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from spyglass_contract.errors import Overloaded, SpyglassError
from spyglass_server.engine.call import Call

_SMOOTHING = 0.1
_RETRY_SECONDS = (0.05, 5.0)


class Admission:
    """Permits for `capacity` requests at a time; a request takes one before its image is decoded."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._inside = 0
        self._changed = Condition()
        self._mean_stay = 0.1
        self._last_change = time.monotonic()

    @contextmanager
    def permit(self, call: Call) -> Iterator[None]:
        """Hold one permit inside the block. Raises Overloaded if none is free, unless the call is patient."""
        self._enter(call)
        entered = time.monotonic()
        try:
            yield
        finally:
            self._leave(time.monotonic() - entered)

    @property
    def inside(self) -> int:
        """The number of requests that hold a permit now."""
        return self._inside

    @property
    def stalled_seconds(self) -> float:
        """Return for how long all permits have been taken and none was given back; 0 if one is free."""
        with self._changed:
            full = self._inside >= self.capacity
            return time.monotonic() - self._last_change if full else 0.0

    def _enter(self, call: Call) -> None:
        with self._changed:
            if call.patient:
                self._wait_for_permit(call)
            elif self._inside >= self.capacity:
                raise Overloaded(
                    f"the server already works on {self.capacity} requests, as many as it may",
                    retry_after=self._retry_after(),
                )
            self._inside += 1
            self._last_change = time.monotonic()

    def _leave(self, stay: float) -> None:
        with self._changed:
            self._inside -= 1
            self._last_change = time.monotonic()
            self._mean_stay += _SMOOTHING * (stay - self._mean_stay)
            self._changed.notify()

    def _wait_for_permit(self, call: Call) -> None:
        with call.on_cancel(self._wake):
            try:
                while self._inside >= self.capacity:
                    self._changed.wait(call.remaining())
                call.remaining()
            except SpyglassError:
                # Perhaps this call was the one woken for a free permit: wake the next one.
                self._changed.notify()
                raise

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _retry_after(self) -> float:
        """Seconds until about half of the requests have given back their permits."""
        shortest, longest = _RETRY_SECONDS
        return min(max(self._mean_stay / 2, shortest), longest)
