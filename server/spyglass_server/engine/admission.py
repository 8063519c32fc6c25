"""The door: a bounded number of requests inside, the rest told at once when to come again."""

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
    """Permits for `capacity` requests at a time, taken before any decoding."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._inside = 0
        self._changed = Condition()
        self._mean_stay = 0.1

    @contextmanager
    def permit(self, call: Call) -> Iterator[None]:
        """Holds one permit. Raises Overloaded where there is none and the call is not patient."""
        self._enter(call)
        entered = time.monotonic()
        try:
            yield
        finally:
            self._leave(time.monotonic() - entered)

    @property
    def inside(self) -> int:
        """How many requests hold a permit now."""
        return self._inside

    def _enter(self, call: Call) -> None:
        with self._changed:
            if call.patient:
                self._wait_for_room(call)
            elif self._inside >= self.capacity:
                raise Overloaded(
                    f"{self.capacity} requests are already being served", retry_after=self._retry_after()
                )
            self._inside += 1

    def _leave(self, stay: float) -> None:
        with self._changed:
            self._inside -= 1
            self._mean_stay += _SMOOTHING * (stay - self._mean_stay)
            self._changed.notify()

    def _wait_for_room(self, call: Call) -> None:
        with call.on_cancel(self._wake):
            try:
                while self._inside >= self.capacity:
                    self._changed.wait(call.remaining())
                call.remaining()
            except SpyglassError:
                # Perhaps it was this one that was woken for the room there is: the next in line gets it.
                self._changed.notify()
                raise

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _retry_after(self) -> float:
        """Seconds until about half of those inside have left."""
        shortest, longest = _RETRY_SECONDS
        return min(max(self._mean_stay / 2, shortest), longest)
