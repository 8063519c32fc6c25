"""A budget of bytes for the request messages that the server holds at a time."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition

from spyglass_contract.errors import Overloaded

_RETRY_SECONDS = 0.5
# How often a waiting stream checks whether its call is still active.
_LOOK_SECONDS = 0.25


class ByteBudget:
    """A budget of `limit` bytes; it always admits one message, whatever its size."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held = 0
        # The most bytes that were held at a time since the last call of `take_peak`.
        self._peak = 0
        self._changed = Condition()
        self._waiting: list[Callable[[], object]] = []

    @property
    def held(self) -> int:
        """The number of bytes that are held now."""
        return self._held

    def take(self, size: int, *, always: bool = False) -> None:
        """Hold `size` bytes. Raises Overloaded if the sum exceeds the limit, unless `always`."""
        with self._changed:
            if self._held and self._held + size > self.limit and not always:
                raise self._refusal()
            self._held += size
            self._peak = max(self._peak, self._held)

    def give_back(self, size: int) -> None:
        """Give back `size` bytes that `take` holds."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()
            free = self._waiting if self._held < self.limit else []
            if free:
                self._waiting = []
        for go_on in free:
            go_on()

    def wait_until_free(self, active: Callable[[], bool]) -> None:
        """Wait until another message may be read, or until `active` returns False."""
        with self._changed:
            while self._held >= self.limit and active():
                self._changed.wait(_LOOK_SECONDS)

    def when_free(self, go_on: Callable[[], object]) -> None:
        """Run `go_on` when another message may be read: at once, or in the thread that gives bytes back."""
        with self._changed:
            if self._held >= self.limit:
                self._waiting.append(go_on)
                return
        go_on()

    def take_peak(self) -> int:
        """Return the most bytes that were held at a time since the last call of this method."""
        with self._changed:
            peak, self._peak = self._peak, self._held
            return peak

    def _refusal(self) -> Overloaded:
        return Overloaded(
            f"the server already holds {self._held:,} bytes of requests; it may hold {self.limit:,}",
            reason="BYTES_IN_FLIGHT",
            retry_after=_RETRY_SECONDS,
        )
