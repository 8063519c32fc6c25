"""A streaming call as the blocking client drives it, and what that shares with the asyncio one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol, TypeVar

import grpc

from spyglass_client._calls import Reply, Request
from spyglass_client._pipeline import Give, Pipeline, Send, Stop, Take, Wait
from spyglass_client._results import Failure
from spyglass_client._rpc_errors import error_from_rpc
from spyglass_contract.errors import SpyglassError, Unavailable

# How long a call that has answered everything may take to end, in seconds.
FAREWELL = 1.0

# How long an interrupt may go unnoticed, in seconds.
_SLICE = 0.5

Result = TypeVar("Result")

Heard = Reply | SpyglassError
"""A reply, or why there will be no more on this call."""


class Replies(Protocol):
    """The replies of a streaming call, which can be ended early."""

    def __iter__(self) -> Iterator[Reply]: ...

    def cancel(self) -> object: ...


Start = Callable[[Iterator[Request]], Replies]


def run(
    pipeline: Pipeline[Result], requests: Iterator[Request | SpyglassError], start: Start
) -> Iterator[Result | Failure]:
    """Does what `pipeline` says until every request is answered; yields the answers in order.

    `start` makes a streaming call of an iterator of requests; it is called when there is something to send,
    and again after a call broke. Raises the error that ends them all.
    """
    heard: SimpleQueue[Heard] = SimpleQueue()
    stream = Stream(start, heard.put)
    try:
        while not isinstance(step := pipeline.step(), Stop):
            match step:
                case Give(answer):
                    yield answer
                case Take():
                    pipeline.take(next(requests, None))
                case Send(request):
                    stream.send(request)
                case Wait(seconds):
                    pipeline.hear(stream.notice(_get(heard, seconds)))
        if stream.finish():
            _get(heard, FAREWELL)
    finally:
        stream.cancel()


def _get(heard: SimpleQueue[Heard], seconds: float | None) -> Heard | None:
    """Waits in slices: a signal that one of gRPC's threads took is seen here between two of them."""
    end = math.inf if seconds is None else time.monotonic() + seconds
    while True:
        left = end - time.monotonic()
        try:
            return heard.get(timeout=max(min(left, _SLICE), 0))
        except Empty:
            if left <= _SLICE:
                return None


class Stream:
    """One streaming call at a time, opened when there is something to send."""

    def __init__(self, start: Start, deliver: Callable[[Heard], object]) -> None:
        """`deliver` is handed what comes back, in another thread."""
        self._start = start
        self._deliver = deliver
        self._call: _Call | None = None

    def send(self, request: Request) -> None:
        """Opens a call where none is open."""
        self._call = self._call or _Call(self._start, self._deliver)
        self._call.requests.put(request)

    def notice(self, heard: Heard | None) -> Heard | None:
        """Lets go of a call that has ended; gives back what was heard."""
        if isinstance(heard, SpyglassError):
            self.cancel()
        return heard

    def finish(self) -> bool:
        """Nothing more will be sent: lets the server end the call. Whether there is one to end."""
        if self._call:
            self._call.requests.put(None)
        return self._call is not None

    def cancel(self) -> None:
        """Ends the call, whatever its state."""
        if self._call:
            self._call.requests.put(None)
            self._call.replies.cancel()
            self._call = None


class _Call:
    """gRPC's thread takes the requests, one of ours hands over what comes back."""

    def __init__(self, start: Start, deliver: Callable[[Heard], object]) -> None:
        # None: no more.
        self.requests: SimpleQueue[Request | None] = SimpleQueue()
        self.replies = start(iter(self.requests.get, None))
        Thread(target=self._read, args=(deliver,), name="spyglass-replies", daemon=True).start()

    def _read(self, deliver: Callable[[Heard], object]) -> None:
        try:
            for reply in self.replies:
                deliver(reply)
            deliver(Unavailable("the server ended the stream", reason="STREAM_ENDED"))
        except grpc.RpcError as error:
            deliver(error_from_rpc(error))
