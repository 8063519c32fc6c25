"""When to retry."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Real


@dataclass(frozen=True)
class RetryBudget:
    """How many retries and hedged requests a client may send in addition to its calls.

    It is a bucket of tokens: it begins with `burst` tokens and never holds more; every call adds `ratio`
    tokens, and every second adds `per_second`. An attempt after the first one takes a token; a stream that
    starts again takes one, too. So in any time of t seconds with n calls there are at most `ratio` · n +
    `per_second` · t + `burst` of them, whatever fails. A retry that finds no token waits for one; if that
    would be after the deadline, its call fails at once.
    Attempts that no server took (it cannot be reached, or it is starting or stopping) take no token.

    The rule is that of Finagle's RetryBudget (https://twitter.github.io/finagle/guide/Clients.html), with its
    defaults; gRPC's retry throttling (proposal A6) has the same purpose. Raises ValueError unless ratio and
    per_second are finite and >= 0, and burst is a whole number >= 1.
    """

    ratio: float = 0.2
    per_second: float = 10.0
    burst: int = 100

    def __post_init__(self) -> None:
        if (
            not _is_amount(self.ratio)
            or not _is_amount(self.per_second)
            or not isinstance(self.burst, int)
            or isinstance(self.burst, bool)
            or self.burst < 1
        ):
            raise ValueError(
                "RetryBudget needs a finite ratio >= 0, a finite per_second >= 0, a whole number burst >= 1, "
                f"not {self}"
            )


@dataclass(frozen=True)
class Retry:
    """When to retry: if the server cannot be reached or is starting, or if it is overloaded and says when.

    `attempts` counts the first one: 1 means no retry, None as many as fit before the deadline of the call.
    So a call waits for a server that starts within its timeout. A retry on another server that is available
    starts at once, as does the first retry after a lost connection. Otherwise, the n-th pause is
    `initial_backoff` · 2ⁿ⁻¹ seconds, at most `max_backoff`. The part `jitter` of it, in [0, 1], is random
    (1: "full jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    No pause goes past the deadline of the call. Whatever `attempts` is, the client does not send a request
    again that has lost its connection five times: it may be what ends the server. All calls of the client
    share `budget`; None: no limit. Raises ValueError for values out of range.
    """

    attempts: int | None = None
    initial_backoff: float = 0.2
    max_backoff: float = 2.0
    jitter: float = 1.0
    budget: RetryBudget | None = field(default_factory=RetryBudget)

    def __post_init__(self) -> None:
        if (
            (self.attempts is not None and not self.attempts >= 1)
            or not 0 < self.initial_backoff <= self.max_backoff < math.inf
            or not 0 <= self.jitter <= 1
            or not isinstance(self.budget, RetryBudget | None)
        ):
            raise ValueError(
                "Retry needs attempts >= 1 or None, 0 < initial_backoff <= max_backoff, 0 <= jitter <= 1, "
                f"budget a RetryBudget or None, not {self}"
            )


def _is_amount(number: float) -> bool:
    """Return whether this is a finite number of 0 or more."""
    return isinstance(number, Real) and not isinstance(number, bool) and 0 <= number < math.inf
