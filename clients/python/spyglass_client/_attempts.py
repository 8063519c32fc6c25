"""When to ask again, and when to give up."""

from __future__ import annotations

import random
import time

from spyglass_client._options import Retry
from spyglass_contract.errors import Overloaded, SpyglassError, Unavailable


class Attempts:
    """One call's attempts, all of them inside one deadline."""

    def __init__(self, retry: Retry, seconds: float | None) -> None:
        self._retry = retry
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._failed = 0

    def remaining(self) -> float | None:
        """Seconds left for the attempt that starts now; None: no deadline."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)

    def pause_after(self, error: SpyglassError) -> float:
        """How long to wait before the next attempt, in seconds. Raises `error` where there is to be none."""
        self._failed += 1
        pause = pause_after(error, self._failed, self._retry)
        remaining = self.remaining()
        if pause is None or (remaining is not None and pause >= remaining):
            raise error
        return pause


def pause_after(error: SpyglassError, failed: int, retry: Retry) -> float | None:
    """Seconds to wait after the attempt number `failed`, from 1; None: asking again is no use or not safe.

    A server that is full says how long it will be: the pause comes on top of that, so that those who were
    refused together do not come back together.
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
