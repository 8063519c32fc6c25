"""The order of things in a stream, without a wire: which image is sent, awaited and answered when.

A client asks for the next `step` and does what it says. Images are numbered as they are taken; the number
is the request's id, by which replies, which come in any order, find their image.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass_client._attempts import pause_after
from spyglass_client._calls import Reply, Request
from spyglass_client._errors import MESSAGE_TOO_LARGE, error_from_status
from spyglass_client._options import Retry
from spyglass_client._results import Failure
from spyglass_contract.errors import DeadlineExceeded, SpyglassError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Send:
    """Send this request."""

    request: Request


@dataclass(frozen=True)
class Give(Generic[Result]):
    """Hand this answer to the caller."""

    answer: Result | Failure


@dataclass(frozen=True)
class Take:
    """There is room: take the next image from the caller."""


@dataclass(frozen=True)
class Wait:
    """Wait for a reply, this many seconds at most; None: for ever."""

    seconds: float | None


@dataclass(frozen=True)
class Stop:
    """Every image is answered."""


Step = Send | Give[Result] | Take | Wait | Stop


@dataclass
class _Entry(Generic[Result]):
    """An image under way."""

    request: Request
    deadline: float | None = None
    # When to send it; None: it is with the server, or answered.
    due: float | None = None
    failed: int = 0
    answer: Result | Failure | None = None


class Pipeline(Generic[Result]):
    """At most `window` images are taken and not yet given back, so memory stays bounded."""

    def __init__(
        self,
        *,
        read: Callable[[Any, Any], Result],
        window: int,
        retry: Retry,
        seconds: float | None,
        progress: Callable[[int], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`read` makes a result of a request and the reply to it.

        `seconds` is how long each image may take from when it is taken; None: for ever. `progress` is
        told how many images are answered, each time that one is. Raises ValueError for a window below 1.
        """
        if window < 1:
            raise ValueError(f"a window of {window} images lets none through")
        self._read = read
        self._window = window
        self._retry = retry
        self._seconds = seconds
        self._progress = progress
        self._clock = clock
        self._entries: deque[_Entry[Result]] = deque()
        self._taken = 0
        self._given = 0
        self._source_is_empty = False
        self._listened = False
        self._broken = 0

    def step(self) -> Step[Result]:
        """What to do next: first what keeps the server busy, then what keeps the caller busy."""
        now = self._clock()
        for entry in self._entries:
            if entry.due is not None and entry.due <= now:
                entry.due = None
                return Send(entry.request)
        if self._entries and (answer := self._entries[0].answer) is not None:
            return self._give(answer)
        if len(self._entries) < self._window and not self._source_is_empty:
            # The caller may be slow to find a next image: what has come by now is not left lying.
            return Take() if self._listened else Wait(0)
        return Wait(self._patience(now)) if self._entries else Stop()

    def take(self, request: Request | SpyglassError | None) -> None:
        """The next image as a request, or why it is none; None where there are no more."""
        self._listened = False
        if request is None:
            self._source_is_empty = True
            return
        number, self._taken = str(self._taken), self._taken + 1
        if isinstance(request, SpyglassError):
            self._entries.append(_Entry(ClassifyRequest(), answer=Failure(request, number)))
            return
        request.id = number
        now = self._clock()
        deadline = None if self._seconds is None else now + self._seconds
        self._entries.append(_Entry(request, deadline, due=now))

    def hear(self, heard: Reply | SpyglassError | None) -> None:
        """What came of waiting: a reply, the end of the stream, or nothing.

        Raises the error that ended the stream where asking again is no use.
        """
        now = self._clock()
        self._listened = heard is None
        if heard is None:
            self._give_up_late_ones(now)
        elif isinstance(heard, SpyglassError):
            self._start_over(heard, now)
        else:
            self._settle(heard, now)

    def _give(self, answer: Result | Failure) -> Give[Result]:
        self._entries.popleft()
        self._given += 1
        if self._progress:
            self._progress(self._given)
        return Give(answer)

    def _settle(self, reply: Reply, now: float) -> None:
        """A reply to an image that is given up, or was never sent, is dropped."""
        self._broken = 0
        for entry in self._under_way():
            if entry.request.id == reply.id:
                if reply.HasField("error"):
                    self._put_off(entry, error_from_status(reply.error), now)
                else:
                    entry.answer = self._read_or_fail(entry.request, reply)

    def _read_or_fail(self, request: Request, reply: Reply) -> Result | Failure:
        """A reply that cannot be is a failure of its image alone."""
        try:
            return self._read(request, reply)
        except SpyglassError as error:
            return Failure(error, request.id)

    def _put_off(self, entry: _Entry[Result], error: SpyglassError, now: float) -> None:
        """Asks again later, where that is of use and there is time for it."""
        entry.failed += 1
        pause = pause_after(error, entry.failed, self._retry)
        if pause is None or (entry.deadline is not None and now + pause >= entry.deadline):
            entry.answer = Failure(error, entry.request.id)
        else:
            entry.due = now + pause

    def _give_up_late_ones(self, now: float) -> None:
        for entry in self._under_way():
            if entry.deadline is not None and entry.deadline <= now:
                entry.due = None
                entry.answer = Failure(DeadlineExceeded("there was no answer in time"), entry.request.id)

    def _start_over(self, error: SpyglassError, now: float) -> None:
        """The stream ended: images without an answer are due again.

        An image too large for gRPC to carry ends the stream for all; only it, the largest, has failed.
        """
        pause: float | None = 0.0
        if error.reason == MESSAGE_TOO_LARGE and self._under_way():
            largest = max(self._under_way(), key=lambda entry: entry.request.ByteSize())
            largest.answer = Failure(error, largest.request.id)
        else:
            self._broken += 1
            pause = pause_after(error, self._broken, self._retry)
        if pause is None:
            raise error
        for entry in self._under_way():
            entry.due = now + pause

    def _under_way(self) -> list[_Entry[Result]]:
        return [entry for entry in self._entries if entry.answer is None]

    def _patience(self, now: float) -> float | None:
        """Seconds until an image is due again or its time is over."""
        times = [
            time for entry in self._under_way() for time in (entry.due, entry.deadline) if time is not None
        ]
        return max(min(times) - now, 0.0) if times else None
