"""Which jobs may wait: those that their callers can still wait for, and not more than there are places."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass

from spyglass_contract.errors import Overloaded
from spyglass_server.engine.scheduling.fair_queue import FairQueue
from spyglass_server.engine.scheduling.job import Job

# One connection may take this part of the places, so that it cannot take all of them from others.
_SHARE = 0.75
_RETRY_SECONDS = (0.05, 5.0)
# Added to the expected time: the estimate is a mean, and a response takes a moment to be sent.
_MARGIN, _MARGIN_SECONDS = 1.15, 0.005


@dataclass(frozen=True)
class Bounds:
    """What may be inside at a time. A patient call may exceed them."""

    # Requests, those that run included.
    requests: int
    # The longest time that a request waits, in seconds of work.
    queue_seconds: float = math.inf


class Admission:
    """Counts the jobs inside, and refuses those that would wait too long; not safe for several threads."""

    def __init__(self, bounds: Bounds, workers: int) -> None:
        self.bounds = bounds
        self._workers = workers
        self.inside = 0
        # Jobs that have come in since the start.
        self.admitted = 0
        # The seconds that the jobs which run now were expected to take.
        self.running_seconds = 0.0
        self._by_connection: Counter[str] = Counter()

    def check(self, job: Job, queue: FairQueue, idle: int) -> None:
        """Raise Overloaded if the job may not wait, or cannot be done before its deadline.

        `idle` is the number of workers without work. The first of them gets the job whatever the estimate
        says: after one slow run only another run can correct it.
        """
        waits = self._expected_wait(job, queue)
        if not job.call.patient:
            self._check_places(job, waits)
        if idle > len(queue):
            return
        if not job.call.patient and waits > self.bounds.queue_seconds:
            raise self._full(f"{waits:.1f} s of work wait before the request", waits)
        left = None if job.call.deadline is None else job.call.deadline - time.monotonic()
        if left is not None and (waits + job.seconds) * _MARGIN + _MARGIN_SECONDS > left:
            raise Overloaded(
                f"the call has {left * 1000:.0f} ms left, and its turn comes later",
                reason="DEADLINE_TOO_SHORT",
                retry_after=_retry_after(waits + job.seconds - left),
            )

    def enter(self, job: Job) -> None:
        """Count a job that came in."""
        job.counted = True
        self.inside += 1
        self.admitted += 1
        self._by_connection[job.call.caller.connection] += 1

    def leave(self, job: Job) -> None:
        """Count a job out; does nothing for one that is not counted."""
        if not job.counted:
            return
        job.counted = False
        self.inside -= 1
        connection = job.call.caller.connection
        self._by_connection[connection] -= 1
        if not self._by_connection[connection]:
            del self._by_connection[connection]

    def _check_places(self, job: Job, waits: float) -> None:
        requests = self.bounds.requests
        if self.inside >= requests:
            raise self._full(f"the server already works on {requests} requests, as many as it may", waits)
        share = max(1, math.ceil(requests * _SHARE))
        if job.call.caller.connection and self._by_connection[job.call.caller.connection] >= share:
            raise self._full(
                f"the server already works on {share} requests of this connection, as many as it may", waits
            )

    def _expected_wait(self, job: Job, queue: FairQueue) -> float:
        ahead = queue.finish_seconds(job.path, job.seconds) - job.seconds
        # On average half of each running job is still to be done.
        return max(0.0, ahead + self.running_seconds / 2) / self._workers

    def _full(self, message: str, waits: float) -> Overloaded:
        return Overloaded(message, retry_after=_retry_after(waits))


def _retry_after(seconds: float) -> float:
    shortest, longest = _RETRY_SECONDS
    return min(max(seconds, shortest), longest)
