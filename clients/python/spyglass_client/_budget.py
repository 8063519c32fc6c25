"""The retries that a client may still send: a bucket of tokens that its calls and the time fill."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from threading import Lock

from spyglass_client._options import RetryBudget
from spyglass_client._transports.per_process import PerProcess


class Budget:
    """The budget of one client; safe to use from many threads and in forked processes.

    Each process has a bucket of its own.
    """

    def __init__(self, limits: RetryBudget | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Without `limits` there is always a token. `clock` returns seconds."""
        self._bucket = None if limits is None else PerProcess(lambda: _Bucket(limits, clock))

    def add_call(self) -> None:
        """Count a call of the application, which earns a part of a token."""
        if self._bucket:
            self._bucket.get().add_call()

    def reserve(self, longest: float | None = None) -> float | None:
        """Take a token, and return the seconds until it is there.

        Return None, and take nothing, if that is not in less than `longest` seconds; None: it may take any
        finite time.
        """
        return self._bucket.get().reserve(longest) if self._bucket else 0.0

    def take(self) -> bool:
        """Take a token if there is one now."""
        return self.reserve(longest=0.0) is not None


class _Bucket:
    def __init__(self, limits: RetryBudget, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = Lock()
        # Below 0: tokens that waiting retries have reserved.
        self._tokens = float(limits.burst)
        self._filled = clock()

    def add_call(self) -> None:
        with self._lock:
            self._tokens = min(self._tokens + self._limits.ratio, self._limits.burst)

    def reserve(self, longest: float | None) -> float | None:
        with self._lock:
            now = self._clock()
            earned = (now - self._filled) * self._limits.per_second
            self._tokens, self._filled = min(self._tokens + earned, self._limits.burst), now
            missing = 1 - self._tokens
            wait = 0.0 if missing <= 0 else _divided(missing, self._limits.per_second)
            if math.isinf(wait) or (wait > 0 and longest is not None and wait >= longest):
                return None
            self._tokens -= 1
            return wait


def _divided(tokens: float, per_second: float) -> float:
    return tokens / per_second if per_second > 0 else math.inf
