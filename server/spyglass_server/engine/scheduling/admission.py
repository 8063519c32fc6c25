"""Which jobs may wait: those that their callers can still wait for, and not more than there are places."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass

from spyglass_contract.errors import Overloaded
from spyglass_server.engine.call import Call
from spyglass_server.engine.scheduling.fair_queue import FairQueue, Path
from spyglass_server.engine.scheduling.job import Job

# One connection may hold this many times the places that are free: three quarters of all if it is alone. So
# several of them leave some to others, too. After Choudhury and Hahne, "Dynamic Queue Length Thresholds for
# Shared-Memory Packet Switches", IEEE/ACM Transactions on Networking 6(2), 1998.
_TIMES_FREE = 3
# Calls beyond `calls_per_connection` wait in the client, first come, first served: after a while each would
# reach the server with no time left. So from this part of them on, calls with little time are refused.
_FULL_PART = 0.75
_RETRY_SECONDS = (0.05, 5.0)
# A job may wait for half of the time that it has: an overloaded server becomes slower than it was.
_MARGIN = 2.0
_SMOOTHING = 0.05
# A run that took more times longer than expected says more about itself than about the server.
_MOST_SLOWNESS = 20.0
# With less work than this in the queue, no job is checked before its message has arrived.
_CROWDED_SECONDS = 0.02

SEND_SECONDS = 0.01
"""The time until a response has been sent and read."""


@dataclass(frozen=True)
class Bounds:
    """What may be inside at a time. A patient call may exceed them."""

    # Requests, those that run included.
    requests: int
    # The longest time that a request waits, in seconds of work.
    queue_seconds: float = math.inf
    # The calls that one connection carries at a time.
    calls_per_connection: float = math.inf


class Admission:
    """Counts the jobs inside, and refuses those that would wait too long; not safe for several threads."""

    def __init__(self, bounds: Bounds, queue: FairQueue, workers: int) -> None:
        self.bounds = bounds
        self._queue = queue
        self._workers = workers
        self.inside = 0
        # Those of `inside` that take a place. Patient ones take none: the limits of streams bound them.
        self._placed = 0
        # Jobs that have come in since the start.
        self.admitted = 0
        # The seconds that the jobs which run now were expected to take.
        self.running_seconds = 0.0
        # How many times longer than expected the last jobs took.
        self._slowness = 1.0
        self._by_connection: Counter[str] = Counter()

    @property
    def is_crowded(self) -> bool:
        """Whether a new job may be refused; False for most jobs of a server that keeps up."""
        waits = self._queue.seconds * self._slowness / self._workers
        return waits > _CROWDED_SECONDS or self._placed * 2 > self.bounds.requests

    def check(self, call: Call, path: Path, seconds: float, idle: int) -> bool:
        """Raise Overloaded if a job of a call may not wait, or cannot be done before its deadline.

        Returns whether a free worker takes it at once.

        `seconds` is the time that it should take. `path` is its flow, or the first levels of it. `idle` is
        the number of workers without work. The first of them gets the job whatever the estimate says: after
        one slow run only another run can correct it.
        """
        waits = self._expected_wait(path, seconds)
        if not call.patient:
            self._check_places(call, waits)
        if idle > len(self._queue):
            return True
        if not call.patient and waits > self.bounds.queue_seconds:
            raise _full(f"{waits:.1f} s of work wait before the request", waits)
        left = None if call.deadline is None else call.deadline - time.monotonic()
        if left is not None and waits * _MARGIN + seconds + SEND_SECONDS > left:
            raise Overloaded(
                "the turn of the call comes too late for its deadline",
                reason="DEADLINE_TOO_SHORT",
                retry_after=_retry_after(waits * _MARGIN + seconds - left),
            )
        return False

    def learn(self, expected: float, taken: float) -> None:
        """Take the seconds into account that a batch was expected to take, and those that it has taken."""
        if expected:
            ratio = min(taken / expected, _MOST_SLOWNESS)
            self._slowness += _SMOOTHING * (ratio - self._slowness)

    def enter(self, job: Job) -> None:
        """Count a job that came in."""
        job.counted = True
        self.inside += 1
        self.admitted += 1
        if not job.call.patient:
            self._placed += 1
            self._by_connection[job.call.caller.connection] += 1

    def leave(self, job: Job) -> None:
        """Count a job out; does nothing for one that is not counted."""
        if not job.counted:
            return
        job.counted = False
        self.inside -= 1
        if job.call.patient:
            return
        self._placed -= 1
        connection = job.call.caller.connection
        self._by_connection[connection] -= 1
        if not self._by_connection[connection]:
            del self._by_connection[connection]

    def _check_places(self, call: Call, waits: float) -> None:
        requests, connection = self.bounds.requests, call.caller.connection
        free = requests - self._placed
        if free <= 0:
            raise _full(f"the server already works on {requests} requests, as many as it may", waits)
        held = self._by_connection[connection] if connection else 0
        if held >= _FULL_PART * self.bounds.calls_per_connection and self._is_impatient(call):
            raise _full(
                f"the server already works on {held} requests of this connection; further ones would wait "
                "in its client, perhaps until their deadline",
                waits,
            )
        if held >= _TIMES_FREE * free:
            raise _full(
                f"the server already works on {held} requests of this connection, and keeps its last "
                f"{free} places for others",
                waits,
            )

    def _is_impatient(self, call: Call) -> bool:
        """Return whether a call has less time left than a request may wait in the queue."""
        return call.deadline is not None and call.deadline - time.monotonic() < self.bounds.queue_seconds

    def _expected_wait(self, path: Path, seconds: float) -> float:
        ahead = self._queue.finish_seconds(path, seconds) - seconds
        # On average half of each running job is still to be done.
        return max(0.0, ahead + self.running_seconds / 2) * self._slowness / self._workers


def _full(message: str, waits: float) -> Overloaded:
    return Overloaded(message, retry_after=_retry_after(waits))


def _retry_after(seconds: float) -> float:
    """Return the time until the next attempt in seconds, in steps: so there are few different refusals."""
    shortest, longest = _RETRY_SECONDS
    return min(math.ceil(max(seconds, shortest) / shortest) * shortest, longest)
