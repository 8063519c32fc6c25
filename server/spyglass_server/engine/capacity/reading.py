"""The choice of the calls to read from, so that there is memory for the messages that are on their way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from spyglass_contract.errors import Overloaded, SpyglassError
from spyglass_server.engine.capacity.byte_budget import ByteBudget

# For this time a call reserves the longest message; after it, only its real bytes count.
_YOUNG_SECONDS = 0.25
# A call that has been read from for this time ends if other calls wait for memory.
_PATIENT_SECONDS = 1.0
# The longest time that a call waits until the server reads from it.
_WAIT_SECONDS = 5.0
_RETRY_SECONDS = 0.5


@dataclass(eq=False)
class Reader:
    """A call with a message to read. `start` begins to read; `give_up` ends the call with an error."""

    start: Callable[[], object]
    give_up: Callable[[SpyglassError], object]
    since: float


class Reading:
    """Starts to read from calls while the held bytes and the bytes on the way fit the budget.

    The server knows the size of a message only when it has arrived, so a call reserves the longest message
    at first. A slow sender has sent little: after a moment each call counts only with the memory that it
    really takes. The last waiting call is read first: under an attack the earlier ones are the attackers.
    """

    def __init__(self, budget: ByteBudget, longest: int, allocated: Callable[[], int]) -> None:
        """`longest` is the size of the longest message; `allocated` returns the bytes in use."""
        self._budget = budget
        self._longest = longest
        self._allocated = allocated
        self._base: int | None = None
        self._waiting: list[Reader] = []
        # In the order of their start.
        self._started: dict[Reader, None] = {}
        self._lock = Lock()

    @property
    def waiting(self) -> int:
        """The number of calls from which the server does not read yet."""
        return len(self._waiting)

    def enter(self, start: Callable[[], object], give_up: Callable[[SpyglassError], object]) -> Reader:
        """Begin to read from a call, or queue it."""
        reader = Reader(start, give_up, time.monotonic())
        with self._lock:
            self._waiting.append(reader)
        self._go_on()
        return reader

    def leave(self, reader: Reader) -> None:
        """Record that the message has arrived or the call has ended; may be called again."""
        with self._lock:
            self._started.pop(reader, None)
            if reader in self._waiting:
                self._waiting.remove(reader)
        if self._waiting:
            self._go_on()

    def tick(self) -> None:
        """Start or refuse waiting calls; must be called a few times a second."""
        with self._lock:
            idle = not self._started and not self._waiting and not self._budget.held
        if idle:
            self._base = self._allocated()
            return
        self._go_on()
        now = time.monotonic()
        with self._lock:
            late = [reader for reader in self._waiting if now - reader.since >= _WAIT_SECONDS]
            slow = next(iter(self._started), None)
            if slow and self._waiting and not late and now - slow.since >= _PATIENT_SECONDS:
                late.append(slow)
            for reader in late:
                self._started.pop(reader, None)
            self._waiting = [reader for reader in self._waiting if reader not in late]
        for reader in late:
            message = "the server has no memory for more requests now; try again later"
            reader.give_up(Overloaded(message, reason="BYTES_IN_FLIGHT", retry_after=_RETRY_SECONDS))

    def _go_on(self) -> None:
        """Start as many waiting calls as there is memory for."""
        while True:
            with self._lock:
                if not self._waiting or not self._fits():
                    return
                reader = self._waiting.pop()
                reader.since = time.monotonic()
                self._started[reader] = None
            # Outside of the lock: `start` calls `leave` if the message has already arrived.
            reader.start()

    def _fits(self) -> bool:
        if not self._started:
            return self._budget.held < self._budget.limit
        young = time.monotonic() - _YOUNG_SECONDS
        count = sum(reader.since > young for reader in self._started)
        needed = self._budget.held + (count + 1) * self._longest
        return needed + (self._on_the_way() if count < len(self._started) else 0) <= self._budget.limit

    def _on_the_way(self) -> int:
        """Return the bytes in use without those of an idle server and of the messages that have arrived."""
        if self._base is None:
            return 0
        return max(0, self._allocated() - self._base - self._budget.held)
