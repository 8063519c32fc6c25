"""What each caller uses: requests and megapixels a second, and calls at a time."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from spyglass_contract.errors import Overloaded
from spyglass_server.access.entries import CallerLimits
from spyglass_server.access.rate import Rate

_MAX_CALLERS = 10_000
# Times to retry are rounded up to these steps, so that there are few different refusals.
_STEP_SECONDS = 0.05
_BUSY_SECONDS = 0.25


@dataclass(frozen=True)
class Quota:
    """The limits of one caller; 0: no limit."""

    requests_per_second: float = 0.0
    megapixels_per_second: float = 0.0
    concurrent_calls: int = 0

    def __bool__(self) -> bool:
        """Return whether there is any limit."""
        return bool(self.requests_per_second or self.megapixels_per_second or self.concurrent_calls)

    def overridden(self, limits: CallerLimits) -> Quota:
        """Return the quota with the limits that a caller has of its own."""

        def of(own: float | None, general: float) -> float:
            return general if own is None else own

        return Quota(
            of(limits.requests_per_second, self.requests_per_second),
            of(limits.megapixels_per_second, self.megapixels_per_second),
            int(of(limits.concurrent_calls, self.concurrent_calls)),
        )


class _Use:
    """What one caller uses."""

    __slots__ = ("calls", "pixels", "requests")

    def __init__(self) -> None:
        self.requests: Rate | None = None
        self.pixels: Rate | None = None
        self.calls = 0

    def rates(self, quota: Quota) -> tuple[Rate | None, Rate | None]:
        """Return the rates of requests and megapixels; None: there is no limit."""
        self.requests = _rate(self.requests, quota.requests_per_second)
        self.pixels = _rate(self.pixels, quota.megapixels_per_second)
        return self.requests, self.pixels


class Quotas:
    """Counts the use of up to 10,000 callers, by name; safe to use from any thread.

    If there are more, it forgets the one that has called least recently: it forgets callers with calls in
    progress last.
    """

    def __init__(self, max_callers: int = _MAX_CALLERS) -> None:
        self._uses: OrderedDict[str, _Use] = OrderedDict()
        self._max_callers = max_callers
        self._lock = Lock()

    def __len__(self) -> int:
        """Return the number of callers that are known."""
        return len(self._uses)

    def check(self, caller: str, quota: Quota) -> None:
        """Raise Overloaded if a request would be refused now; it uses nothing."""
        now = time.monotonic()
        with self._lock:
            self._check(self._use(caller), quota, now)

    def enter(self, caller: str, quota: Quota, megapixels: float, requests: int = 1) -> Callable[[], None]:
        """Begin a call that counts as this many requests; return what to call at its end.

        Raises Overloaded if the caller must wait. Its `retry_after` is true: after that time the request is
        accepted if the caller has sent no other one. Calls at a time are different, as nobody knows when one
        ends.
        """
        now = time.monotonic()
        with self._lock:
            use = self._use(caller)
            self._check(use, quota, now)
            self._take(use, quota, megapixels, requests, now)
            use.calls += 1

        def leave() -> None:
            with self._lock:
                use.calls -= 1

        return leave

    def reserve(self, caller: str, quota: Quota, megapixels: float, requests: int = 1) -> float:
        """Use the quota for a message of a stream; return the seconds that it must wait."""
        now = time.monotonic()
        with self._lock:
            use = self._use(caller)
            wait = max((rate.wait(now) for rate in use.rates(quota) if rate), default=0.0)
            self._take(use, quota, megapixels, requests, now)
        return wait

    def _use(self, caller: str) -> _Use:
        use = self._uses.get(caller)
        if use is None:
            use = self._uses[caller] = _Use()
            if len(self._uses) > self._max_callers:
                self._forget()
        self._uses.move_to_end(caller)
        return use

    def _forget(self) -> None:
        """Forget the caller that called least recently, if it has no calls, else the next one without."""
        oldest = next((name for name, use in self._uses.items() if not use.calls), next(iter(self._uses)))
        del self._uses[oldest]

    def _check(self, use: _Use, quota: Quota, now: float) -> None:
        requests, pixels = use.rates(quota)
        if quota.concurrent_calls and use.calls >= quota.concurrent_calls:
            raise Overloaded(
                f"this caller already has {quota.concurrent_calls} calls in work, which is its limit",
                reason="CALLER_CONCURRENT_CALLS",
                retry_after=_BUSY_SECONDS,
            )
        if requests and (wait := requests.wait(now)):
            raise Overloaded(
                f"this caller may send {quota.requests_per_second:g} requests a second",
                reason="CALLER_REQUEST_RATE",
                retry_after=_rounded(wait),
            )
        if pixels and (wait := pixels.wait(now)):
            raise Overloaded(
                f"this caller may send {quota.megapixels_per_second:g} megapixels a second",
                reason="CALLER_MEGAPIXEL_RATE",
                retry_after=_rounded(wait),
            )

    def _take(self, use: _Use, quota: Quota, megapixels: float, count: int, now: float) -> None:
        requests, pixels = use.rates(quota)
        if requests:
            requests.take(count, now)
        if pixels:
            pixels.take(megapixels, now)


def _rate(known: Rate | None, per_second: float) -> Rate | None:
    """Return the rate of a limit: a known one goes on if its limit has not changed."""
    if known and known.per_second == per_second:
        return known
    return Rate(per_second) if per_second else None


def _rounded(seconds: float) -> float:
    return math.ceil(seconds / _STEP_SECONDS) * _STEP_SECONDS
