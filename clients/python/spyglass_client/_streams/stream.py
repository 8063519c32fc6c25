"""A streaming call, as the blocking client drives it, and the parts that the asyncio client shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar, cast

from spyglass_client._calls import Reply, Request
from spyglass_client._results.classifications import Failure
from spyglass_client._streams.pipeline import Give, Pipeline, Send, Stop, Take, Wait
from spyglass_client._transports.transport import ResponseStream
from spyglass_client._waiting import get_within
from spyglass_contract.errors import InternalError, SpyglassError, Unavailable

# How long a call may take to end after its last response, in seconds.
FAREWELL = 1.0

Result = TypeVar("Result")

Received = Reply | SpyglassError
"""A response, or the error that ended the call."""

Start = Callable[[Iterator[Request]], ResponseStream]


def run(
    pipeline: Pipeline[Result], requests: Iterator[Request | SpyglassError], start: Start
) -> Iterator[Result | Failure]:
    """Take the steps of `pipeline` until every request has its result; yield the results in order.

    `start` starts a streaming call with an iterator of requests. It is called when there is a request to
    send, and again after a call broke. Raises the error that ends them all.
    """
    received: SimpleQueue[Received] = SimpleQueue()
    stream = Stream(start, received.put)
    try:
        while not isinstance(step := pipeline.step(), Stop):
            match step:
                case Give(result):
                    yield result
                case Take():
                    pipeline.take(next(requests, None))
                case Send(request):
                    stream.send(request)
                case Wait(seconds):
                    pipeline.receive(stream.notice(get_within(received, seconds)))
        if stream.finish():
            get_within(received, FAREWELL)
    finally:
        stream.cancel()


class Stream:
    """One streaming call at a time, started when there is a request to send."""

    def __init__(self, start: Start, deliver: Callable[[Received], object]) -> None:
        """`deliver` is called with each response, in another thread."""
        self._start = start
        self._deliver = deliver
        self._call: _Call | None = None

    def send(self, request: Request) -> None:
        """Send a request; start a call if none is open."""
        self._call = self._call or _Call(self._start, self._deliver)
        self._call.requests.put(request)

    def notice(self, received: Received | None) -> Received | None:
        """Drop a call that has ended; return the argument."""
        if isinstance(received, SpyglassError):
            self.cancel()
        return received

    def finish(self) -> bool:
        """End the requests, so that the server ends the call. Return whether a call is open."""
        if self._call:
            self._call.requests.put(None)
        return self._call is not None

    def cancel(self) -> None:
        """End the call, whatever its state."""
        if self._call:
            self._call.requests.put(None)
            self._call.responses.cancel()
            self._call = None


class _Call:
    """One call: the transport takes the requests in a thread, and another thread delivers the responses."""

    def __init__(self, start: Start, deliver: Callable[[Received], object]) -> None:
        # None: no more.
        self.requests: SimpleQueue[Request | None] = SimpleQueue()
        self.responses = start(iter(self.requests.get, None))
        Thread(target=self._read, args=(deliver,), name="spyglass-responses", daemon=True).start()

    def _read(self, deliver: Callable[[Received], object]) -> None:
        try:
            for response in self.responses:
                deliver(cast(Reply, response))
            deliver(Unavailable("the server ended the stream", reason="STREAM_ENDED"))
        except SpyglassError as error:
            deliver(error)
        # A transport that raises anything else is broken; without this its caller would wait without end.
        except Exception as error:
            deliver(InternalError(f"the transport failed: {error}", reason="TRANSPORT_FAILED"))
