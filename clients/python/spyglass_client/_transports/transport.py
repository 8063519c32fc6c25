"""What carries requests to the models and responses back: a seam that any class with these methods fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, cast, runtime_checkable

from google.protobuf.message import Message


class ResponseStream(Protocol):
    """The responses of a call with many requests, in any order; each carries the id of its request."""

    def __iter__(self) -> Iterator[Message]:
        """Iterate over the responses. Raises SpyglassError if the call fails."""

    def cancel(self) -> object:
        """End the call, whatever its state; may be called from another thread."""


class Transport(Protocol):
    """Carries the calls of `spyglass.v1`; must be safe to use from many threads.

    `method` is the name of a call of the services `Vision` and `Admin`, such as "Classify" or "LoadModel"; no
    name is in both. A transport without the calls of `Admin` raises Unimplemented for them. Requests and
    responses are the messages of `spyglass.v1`. A transport does not retry: the client does.
    """

    def send(self, method: str, request: Message, timeout: float | None) -> Message:
        """Return the response to one request, within `timeout` seconds; None: no limit.

        Raises SpyglassError.
        """

    def stream(self, method: str, requests: Iterator[Message]) -> ResponseStream:
        """Start one call with many requests, each of them a request of `method`."""

    def close(self) -> None:
        """Cancel the calls in progress and free the resources; may be called again."""


class PendingResponse(Protocol):
    """The response to a request that was sent; `concurrent.futures.Future` has these methods, too."""

    def result(self) -> Message:
        """Wait for the response and return it. Raises SpyglassError."""

    def cancel(self) -> object:
        """End the call, whatever its state."""

    def add_done_callback(self, callback: Callable[[object], object]) -> object:
        """Call `callback`, in any thread, once `result` returns without waiting."""


@runtime_checkable
class NonBlockingTransport(Transport, Protocol):
    """A transport from which `AsyncClient` needs no thread for each call, and whose calls it can cancel.

    With any other transport `AsyncClient` calls `send` in a thread. If the task is cancelled, that call goes
    on until it ends.
    """

    def start(self, method: str, request: Message, timeout: float | None) -> PendingResponse:
        """Send one request without waiting for the response; see `send`."""


class Route(Protocol):
    """The way of one call through a transport, for all attempts of the call.

    The attempts may run at the same time, but one thread at a time starts them.
    """

    @property
    def elsewhere(self) -> bool:
        """Whether the next attempt goes to another server, which may be available."""

    @property
    def server(self) -> str:
        """The address of the last attempt, if there is a choice; else empty."""

    def send(self, method: str, request: Message, timeout: float | None) -> Message:
        """See `Transport.send`."""

    def start(self, method: str, request: Message, timeout: float | None) -> PendingResponse:
        """See `NonBlockingTransport.start`; only for transports that have it."""

    def stream(self, method: str, requests: Iterator[Message]) -> ResponseStream:
        """See `Transport.stream`."""


@runtime_checkable
class RoutingTransport(Transport, Protocol):
    """A transport that chooses among several servers."""

    def route(self) -> Route:
        """Return the way of one call."""


class DirectRoute:
    """The way through a transport without a choice: all attempts are equal."""

    elsewhere = False
    server = ""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def send(self, method: str, request: Message, timeout: float | None) -> Message:
        """See `Transport.send`."""
        return self._transport.send(method, request, timeout)

    def start(self, method: str, request: Message, timeout: float | None) -> PendingResponse:
        """See `NonBlockingTransport.start`."""
        return cast(NonBlockingTransport, self._transport).start(method, request, timeout)

    def stream(self, method: str, requests: Iterator[Message]) -> ResponseStream:
        """See `Transport.stream`."""
        return self._transport.stream(method, requests)
