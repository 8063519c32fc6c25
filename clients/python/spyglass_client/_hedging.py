"""Hedged requests: several attempts of one request at the same time, of which the first response wins.

The rules are those of gRPC's hedging (https://github.com/grpc/proposal/blob/master/A6-client-retries.md): a
new attempt starts after each delay, a response or an error that no other attempt can help ends the race, and
an error that says that a server is unavailable or overloaded leaves it to the other attempts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import Message

from spyglass_client._attempts import Attempts
from spyglass_client._calls import Call, Result
from spyglass_client._options import Hedging
from spyglass_client._tracing import CallSpan
from spyglass_client._transports.transport import PendingResponse, Route
from spyglass_contract.errors import SpyglassError

HEDGED_METHODS = frozenset({"Classify", "Heatmap", "Segment"})


@dataclass(frozen=True)
class _Attempt:
    number: int
    server: str
    pending: PendingResponse


class Race:
    """The attempts of one request; it does not wait, so that both clients can use it."""

    def __init__(
        self,
        call: Call[Result],
        route: Route,
        attempts: Attempts,
        hedging: Hedging,
        span: CallSpan,
        done: Callable[[int], None],
    ) -> None:
        """`done` is called in any thread with the number of an attempt that has ended."""
        self._call = call
        self._route = route
        self._attempts = attempts
        self._hedging = hedging
        self._span = span
        self._done = done
        self._started = 0
        self._running: dict[int, _Attempt] = {}
        self._next = time.monotonic()
        self._start()

    def seconds(self) -> float | None:
        """Return the seconds until the next attempt starts; None: there is no further one."""
        if self._started >= self._hedging.at_most:
            return None
        return max(self._next - time.monotonic(), 0.0)

    def hedge(self) -> None:
        """Start the next attempt, unless the retry budget is empty."""
        if self._attempts.may_hedge():
            self._start()
            self._span.hedge(self._started - 1, self._route.server)
        else:
            self._started = self._hedging.at_most

    def settle(self, number: int) -> Message | None:
        """Return the response of an attempt that has ended; None if other attempts may still succeed.

        Raises the error that ends the race.
        """
        attempt = self._running.pop(number)
        try:
            response = attempt.pending.result()
        except SpyglassError as error:
            if not self._running or not self._attempts.continue_after(error):
                raise
            return None
        self._span.won(attempt.number, attempt.server)
        return response

    def cancel(self) -> None:
        """Cancel the attempts that have not ended."""
        for attempt in self._running.values():
            attempt.pending.cancel()

    def _start(self) -> None:
        number = self._started
        pending = self._route.start(self._call.method, self._call.request, self._attempts.remaining())
        self._started += 1
        self._next = time.monotonic() + self._hedging.delay
        self._running[number] = _Attempt(number, self._route.server, pending)
        pending.add_done_callback(lambda _: self._done(number))
