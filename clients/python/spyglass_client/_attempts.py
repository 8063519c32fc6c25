"""When to retry a call, and when to give up."""

from __future__ import annotations

import random
import time

from spyglass_client._budget import Budget
from spyglass_client._options import Retry
from spyglass_contract.errors import Overloaded, SpyglassError, Unavailable

CONNECTION_LOST = "CONNECTION_LOST"
"""The reason of Unavailable if the connection broke while the server had the request."""

TLS_FAILED = "TLS_FAILED"
"""The reason of Unavailable if client and server cannot agree on TLS, which no retry changes."""

UNREACHABLE = "UNREACHABLE"
"""The reason of Unavailable if no server got the request."""

NOT_SERVING = "NOT_SERVING"
"""The reason of Unavailable if the health service of every server says that it does not serve now."""

# A request that is sent again and again may be what ends the server.
_MAX_LOST = 5

# No server took the request, so that a retry adds no work: there is none, or it is starting or stopping.
_NOT_TAKEN = {UNREACHABLE, TLS_FAILED, NOT_SERVING, "NOT_READY", "DRAINING"}


class Attempts:
    """The attempts of one call, all of them within one deadline."""

    def __init__(
        self,
        retry: Retry,
        seconds: float | None,
        budget: Budget | None = None,
        *,
        repeatable: bool = True,
    ) -> None:
        """`seconds` is the time until the deadline; None: no deadline. `budget` is that of the client.

        See `Call.repeatable`.
        """
        self._budget = budget or Budget(None)
        self._budget.add_call()
        self._policy = RetryPolicy(retry, self._budget, most_lost=_MAX_LOST if repeatable else 1)
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def remaining(self) -> float | None:
        """Seconds left for the attempt that starts now; None: no deadline."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)

    def pause_after(self, error: SpyglassError, *, elsewhere: bool = False) -> float:
        """Return the pause before the next attempt, in seconds; see `RetryPolicy.pause_after`.

        Raises `error` if there is no further attempt.
        """
        pause = self._policy.pause_after(error, elsewhere=elsewhere, longest=self.remaining())
        if pause is None:
            raise error
        return pause

    def may_hedge(self) -> bool:
        """Return whether the budget allows one more attempt now, and take its token."""
        return self._budget.take()

    def continue_after(self, error: SpyglassError) -> bool:
        """Return whether to wait for other attempts in progress after this one failed with `error`."""
        return self._policy.continue_after(error)


class RetryPolicy:
    """Counts the failed attempts of one call, and decides about the next one."""

    def __init__(self, retry: Retry, budget: Budget | None = None, *, most_lost: int = _MAX_LOST) -> None:
        """A call ends with the connection that it loses as number `most_lost`."""
        self._retry = retry
        self._budget = budget or Budget(None)
        self._most_lost = most_lost
        self._failed = 0
        self._lost = 0
        self._paused = 0

    def pause_after(
        self, error: SpyglassError, *, elsewhere: bool = False, longest: float | None = None
    ) -> float | None:
        """Return the pause in seconds after an attempt that failed with `error`; None: do not retry.

        A server that cannot be reached or is starting may be ready at the next attempt. An overloaded server
        says when to retry. The pause is added to that time, so that clients that were refused together do
        not retry together. There is no pause with `elsewhere`: the next attempt goes to another server, which
        is available. Return None, too, if the pause is not shorter than `longest`, and if the budget has no
        token in that time.
        """
        self._failed += 1
        self._lost += error.reason == CONNECTION_LOST
        if self._retry.attempts is not None and self._failed >= self._retry.attempts:
            return None
        pause = self._pause(error, elsewhere)
        if pause is None or (longest is not None and pause >= longest):
            return None
        if error.reason in _NOT_TAKEN:
            return pause
        wait = self._budget.reserve(longest)
        return None if wait is None else max(pause, wait)

    def continue_after(self, error: SpyglassError) -> bool:
        """Count an attempt that failed while others are in progress; return whether they may succeed."""
        self._lost += error.reason == CONNECTION_LOST
        return isinstance(error, Unavailable | Overloaded) and self._lost < self._most_lost

    def _pause(self, error: SpyglassError, elsewhere: bool) -> float | None:
        if isinstance(error, Unavailable) and self._lost < self._most_lost:
            # A connection that breaks is often one of several processes behind one address, or an idle one.
            if elsewhere or (error.reason == CONNECTION_LOST and self._lost == 1):
                return 0.0
            return None if error.reason == TLS_FAILED else self._backoff()
        if isinstance(error, Overloaded) and error.retry_after is not None:
            return error.retry_after + self._backoff()
        return None

    def _backoff(self) -> float:
        # Beyond 2 to the 32nd the longest pause is reached, or the caller's numbers are absurd.
        factor = 2.0 ** min(self._paused, 32)
        self._paused += 1
        longest = min(self._retry.initial_backoff * factor, self._retry.max_backoff)
        return longest * random.uniform(1 - self._retry.jitter, 1)
