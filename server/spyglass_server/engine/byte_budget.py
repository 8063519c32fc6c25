"""The bytes of request messages that the server holds at a time."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition

from spyglass_contract.errors import Overloaded

_RETRY_SECONDS = 0.5
# How often a stream that waits looks if its caller is still there.
_LOOK_SECONDS = 0.25


class ByteBudget:
    """Up to `limit` bytes, and always at least one message, whatever its size."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held = 0
        # The most that was held since `take_peak` was called last.
        self._peak = 0
        self._changed = Condition()

    @property
    def held(self) -> int:
        """The bytes that are held now."""
        return self._held

    def take(self, size: int, *, always: bool = False) -> None:
        """Hold `size` bytes. Raises Overloaded if they are too many beside the others, unless `always`."""
        with self._changed:
            if self._held and self._held + size > self.limit and not always:
                raise self._refusal()
            self._held += size
            self._peak = max(self._peak, self._held)

    def give_back(self, size: int) -> None:
        """Give back `size` bytes of `take`."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()

    def wait_until_free(self, active: Callable[[], bool]) -> None:
        """Wait until a further message may be read, or until `active` returns False."""
        with self._changed:
            while self._held >= self.limit and active():
                self._changed.wait(_LOOK_SECONDS)

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
