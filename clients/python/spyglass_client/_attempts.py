"""When to retry a call, and when to give up."""

from __future__ import annotations

import random
import time

from spyglass_client._options import Retry
from spyglass_contract.errors import Overloaded, SpyglassError, Unavailable


class Attempts:
    """The attempts of one call, all of them within one deadline."""

    def __init__(self, retry: Retry, seconds: float | None) -> None:
        self._retry = retry
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._failed = 0

    def remaining(self) -> float | None:
        """Seconds left for the attempt that starts now; None: no deadline."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)

    def pause_after(self, error: SpyglassError) -> float:
        """Return the pause before the next attempt, in seconds.

        Raises `error` if there is no further attempt.
        """
        self._failed += 1
        pause = pause_after(error, self._failed, self._retry)
        remaining = self.remaining()
        if pause is None or (remaining is not None and pause >= remaining):
            raise error
        return pause


def pause_after(error: SpyglassError, failed: int, retry: Retry) -> float | None:
    """Return the pause in seconds after attempt number `failed`, from 1; None: do not retry.

    An overloaded server says when to retry. The pause is added to that time, so that clients that were
    refused together do not retry together.
    """
    if failed >= retry.attempts:
        return None
    if isinstance(error, Unavailable):
        return _backoff(failed, retry)
    if isinstance(error, Overloaded) and error.retry_after is not None:
        return error.retry_after + _backoff(failed, retry)
    return None


def _backoff(failed: int, retry: Retry) -> float:
    longest = min(retry.initial_backoff * 2.0 ** (failed - 1), retry.max_backoff)
    return longest * random.uniform(1 - retry.jitter, 1)
