"""The order of steps in a stream, without I/O: when to send which image, and when to yield which result.

A client calls `step` and does what it returns. Images are numbered as they are taken; the number is the index
of the request, by which a response, which may come in any order, finds its image. It is the id, too, for
people who read logs and results.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass_client._attempts import RetryPolicy
from spyglass_client._budget import Budget
from spyglass_client._calls import Reply, Request
from spyglass_client._options import Retry
from spyglass_client._results.classifications import Failure
from spyglass_contract.errors import DeadlineExceeded, Overloaded, SpyglassError, Unavailable
from spyglass_contract.statuses import error_from_status

Result = TypeVar("Result")

MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"
"""The reason of an error if the transport cannot carry a message of this size."""


# Longer timeouts are not stated to the server: a Duration ends after some thousand years.
_ENDLESS_SECONDS = 1e8


@dataclass(frozen=True)
class Send:
    """Send this request."""

    request: Request


@dataclass(frozen=True)
class Give(Generic[Result]):
    """Yield this result to the caller."""

    result: Result | Failure


@dataclass(frozen=True)
class Take:
    """Take the next image from the caller."""


@dataclass(frozen=True)
class Wait:
    """Wait for a response, at most this many seconds; None: no limit."""

    seconds: float | None


@dataclass(frozen=True)
class Stop:
    """Every image has its result."""


Step = Send | Give[Result] | Take | Wait | Stop


@dataclass
class _Entry(Generic[Result]):
    """An image in progress."""

    request: Request
    taken: float = 0.0
    deadline: float | None = None
    policy: RetryPolicy | None = None
    # When to send it; None: it was sent, or has its result.
    due: float | None = None
    result: Result | Failure | None = None


class Pipeline(Generic[Result]):
    """At most `window` images are taken whose results were not yielded yet, so memory is bounded."""

    def __init__(
        self,
        *,
        read: Callable[[Any, Any], Result],
        window: int,
        retry: Retry,
        seconds: float | None,
        progress: Callable[[int], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        budget: Budget | None = None,
        elsewhere: Callable[[], bool] = lambda: False,
    ) -> None:
        """`read` makes a result of a request and its response.

        Each image may take `seconds` from the moment it is taken; None: no limit. `progress` is called with
        the number of images that have their results, each time it grows. `budget` is that of the client;
        `elsewhere` returns whether the next stream goes to another server. Raises ValueError for a window
        below 1.
        """
        if window < 1:
            raise ValueError(f"window must be 1 or more, not {window}")
        self._read = read
        self._window = window
        self._retry = retry
        self._seconds = seconds
        self._progress = progress
        self._clock = clock
        self._budget = budget or Budget(None)
        self._elsewhere = elsewhere
        self._entries: deque[_Entry[Result]] = deque()
        self._taken = 0
        self._given = 0
        self._source_is_empty = False
        self._listened = False
        # When the last response came; since when the server is silent, if the stream broke after that; and
        # the attempts since then.
        self._heard: float | None = None
        self._silent_since: float | None = None
        self._policy = self._new_policy()

    def step(self) -> Step[Result]:
        """Return the next step: first what gives the server work, then what gives the caller results."""
        now = self._clock()
        for entry in self._entries:
            if entry.due is not None and entry.due <= now:
                entry.due = None
                _state_timeout(entry, now)
                return Send(entry.request)
        if self._entries and (result := self._entries[0].result) is not None:
            return self._give(result)
        if len(self._entries) < self._window and not self._source_is_empty:
            # The caller may be slow to find its next image: first process the responses that came meanwhile.
            return Take() if self._listened else Wait(0)
        return Wait(self._patience(now)) if self._entries else Stop()

    def take(self, request: Request | SpyglassError | None) -> None:
        """Add the request of the next image, or its error; None if there are no more images."""
        self._listened = False
        if request is None:
            self._source_is_empty = True
            return
        index, self._taken = self._taken, self._taken + 1
        if isinstance(request, SpyglassError):
            self._entries.append(_Entry(ClassifyRequest(), result=Failure(request, str(index))))
            return
        request.index, request.id = index, str(index)
        now = self._clock()
        self._budget.add_call()
        deadline = None if self._seconds is None else now + self._seconds
        self._entries.append(_Entry(request, now, deadline, due=now))

    def receive(self, received: Reply | SpyglassError | None) -> None:
        """Process a response, the error that ended the stream, or None if nothing came in time.

        Raises the error that ended the stream if a retry cannot help.
        """
        now = self._clock()
        self._listened = received is None
        if received is None:
            self._give_up_late_ones(now)
        elif isinstance(received, SpyglassError):
            self._start_over(received, now)
        else:
            self._settle(received, now)

    def _give(self, result: Result | Failure) -> Give[Result]:
        self._entries.popleft()
        self._given += 1
        if self._progress:
            self._progress(self._given)
        return Give(result)

    def _settle(self, reply: Reply, now: float) -> None:
        """Store the result of a response; one whose image has its result, or was never sent, is dropped."""
        self._heard, self._silent_since, self._policy = now, None, self._new_policy()
        for entry in self._under_way():
            if entry.request.index == reply.index:
                if reply.HasField("error"):
                    self._put_off(entry, error_from_status(reply.error), now)
                else:
                    entry.result = self._read_or_fail(entry.request, reply)

    def _read_or_fail(self, request: Request, reply: Reply) -> Result | Failure:
        """Return the result, or a failure of this image alone if the response is invalid."""
        try:
            return self._read(request, reply)
        except SpyglassError as error:
            return Failure(error, request.id)

    def _put_off(self, entry: _Entry[Result], error: SpyglassError, now: float) -> None:
        """Retry later if a retry may help and there is time for it."""
        entry.policy = entry.policy or self._new_policy()
        left = None if entry.deadline is None else entry.deadline - now
        pause = entry.policy.pause_after(error, longest=left)
        if pause is None:
            entry.result = Failure(error, entry.request.id)
        else:
            entry.due = now + pause

    def _give_up_late_ones(self, now: float) -> None:
        for entry in self._under_way():
            if entry.deadline is not None and entry.deadline <= now:
                entry.due = None
                entry.result = Failure(
                    DeadlineExceeded("no response came before the deadline"), entry.request.id
                )

    def _start_over(self, error: SpyglassError, now: float) -> None:
        """Send the images without a result again, over a new stream.

        An image that is too large for the transport ends the stream for all; only it, the largest, fails.
        """
        under_way = self._under_way()
        if not under_way and isinstance(error, Unavailable | Overloaded | DeadlineExceeded):
            # The server does not keep an idle stream. The next image opens another one.
            return
        pause = 0.0
        if error.reason == MESSAGE_TOO_LARGE and under_way:
            largest = max(under_way, key=lambda entry: entry.request.ByteSize())
            largest.result = Failure(error, largest.request.id)
        else:
            pause = self._pause_after(error, under_way, now)
        for entry in self._under_way():
            entry.due = now + pause

    def _pause_after(self, error: SpyglassError, under_way: list[_Entry[Result]], now: float) -> float:
        """Return the pause before the next stream.

        Raises `error` if there is none: a retry cannot help, or the server sent nothing for the time that one
        image may take.
        """
        left = None
        if self._seconds is not None:
            if self._silent_since is None:
                taken = min((entry.taken for entry in under_way), default=now)
                self._silent_since = taken if self._heard is None else max(taken, self._heard)
            left = self._silent_since + self._seconds - now
        pause = self._policy.pause_after(error, elsewhere=self._elsewhere(), longest=left)
        if pause is None:
            raise error
        return pause

    def _new_policy(self) -> RetryPolicy:
        return RetryPolicy(self._retry, self._budget)

    def _under_way(self) -> list[_Entry[Result]]:
        return [entry for entry in self._entries if entry.result is None]

    def _patience(self, now: float) -> float | None:
        """Return the seconds until an image is due again or its deadline passes."""
        times = [
            time for entry in self._under_way() for time in (entry.due, entry.deadline) if time is not None
        ]
        return max(min(times) - now, 0.0) if times else None


def _state_timeout(entry: _Entry[Result], now: float) -> None:
    """Tell the server when the result will be too late, so that it does not work in vain."""
    if entry.deadline is not None and entry.deadline - now < _ENDLESS_SECONDS:
        entry.request.timeout.FromNanoseconds(max(1, int((entry.deadline - now) * 1e9)))
