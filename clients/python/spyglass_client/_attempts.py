"""When to retry a call, and when to give up."""

from __future__ import annotations

import random
import time

from spyglass_client._options import Retry
from spyglass_contract.errors import Overloaded, SpyglassError, Unavailable

CONNECTION_LOST = "CONNECTION_LOST"
"""The reason of Unavailable if the connection broke while the server had the request."""

TLS_FAILED = "TLS_FAILED"
"""The reason of Unavailable if client and server cannot agree on TLS, which no retry changes."""

# A request that is sent again and again may be what ends the server.
_MAX_LOST = 5


class Attempts:
    """The attempts of one call, all of them within one deadline."""

    def __init__(self, retry: Retry, seconds: float | None, *, repeatable: bool = True) -> None:
        """`seconds` is the time until the deadline; None: no deadline. See `Call.repeatable`."""
        self._policy = RetryPolicy(retry, most_lost=_MAX_LOST if repeatable else 1)
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def remaining(self) -> float | None:
        """Seconds left for the attempt that starts now; None: no deadline."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)

    def pause_after(self, error: SpyglassError) -> float:
        """Return the pause before the next attempt, in seconds.

        Raises `error` if there is no further attempt.
        """
        pause = self._policy.pause_after(error)
        remaining = self.remaining()
        if pause is None or (remaining is not None and pause >= remaining):
            raise error
        return pause


class RetryPolicy:
    """Counts the failed attempts of one call, and decides about the next one."""

    def __init__(self, retry: Retry, *, most_lost: int = _MAX_LOST) -> None:
        """A call ends with the connection that it loses as number `most_lost`."""
        self._retry = retry
        self._most_lost = most_lost
        self._failed = 0
        self._lost = 0

    def pause_after(self, error: SpyglassError) -> float | None:
        """Return the pause in seconds after an attempt that failed with `error`; None: do not retry.

        A server that cannot be reached or is starting may be ready at the next attempt. An overloaded server
        says when to retry. The pause is added to that time, so that clients that were refused together do
        not retry together.
        """
        self._failed += 1
        self._lost += error.reason == CONNECTION_LOST
        if self._retry.attempts is not None and self._failed >= self._retry.attempts:
            return None
        if isinstance(error, Unavailable) and error.reason != TLS_FAILED and self._lost < self._most_lost:
            return self._backoff()
        if isinstance(error, Overloaded) and error.retry_after is not None:
            return error.retry_after + self._backoff()
        return None

    def _backoff(self) -> float:
        # Beyond 2 to the 32nd the longest pause is reached, or the caller's numbers are absurd.
        factor = 2.0 ** min(self._failed - 1, 32)
        longest = min(self._retry.initial_backoff * factor, self._retry.max_backoff)
        return longest * random.uniform(1 - self._retry.jitter, 1)
