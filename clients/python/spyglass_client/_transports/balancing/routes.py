"""The way of one call through several servers: each attempt goes to another one, if there is one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Protocol

from google.protobuf.message import Message

from spyglass_client._transports.balancing.availability import Availability
from spyglass_client._transports.transport import NonBlockingTransport, PendingResponse, ResponseStream
from spyglass_contract.errors import SpyglassError


class _Server(Protocol):
    @property
    def transport(self) -> NonBlockingTransport: ...

    @property
    def name(self) -> str: ...

    @property
    def availability(self) -> Availability: ...


class _Servers(Protocol):
    @property
    def servers(self) -> Sequence[_Server]: ...

    def pick(self, turn: int, tried: Collection[int]) -> int: ...

    def has_other(self, turn: int, tried: Collection[int]) -> bool: ...


class BalancedRoute:
    """The attempts of one call. They may run at the same time, but one thread at a time starts them."""

    def __init__(self, servers: _Servers, turn: int) -> None:
        """`turn` is the number of the call."""
        self._servers = servers
        self._turn = turn
        self._tried: set[int] = set()
        self._number = 0
        self.server = ""

    @property
    def elsewhere(self) -> bool:
        """See `Route.elsewhere`."""
        return self._servers.has_other(self._turn, self._tried)

    def send(self, method: str, request: Message, timeout: float | None) -> Message:
        """See `Transport.send`."""
        server = self._next()
        try:
            return server.transport.send(method, request, timeout)
        except SpyglassError as error:
            server.availability.note(error)
            raise

    def start(self, method: str, request: Message, timeout: float | None) -> Pending:
        """See `NonBlockingTransport.start`."""
        server = self._next()
        pending = server.transport.start(method, request, timeout)
        return Pending(pending, server.availability.note)

    def stream(self, method: str, requests: Iterator[Message]) -> Stream:
        """See `Transport.stream`."""
        server = self._next()
        responses = server.transport.stream(method, requests)
        # After a response, a break is the first one again: the next stream may go to any other server.
        others = self._tried - {self._number}
        return Stream(responses, lambda: self._tried.difference_update(others), server.availability.note)

    def _next(self) -> _Server:
        number = self._servers.pick(self._turn, self._tried)
        if number in self._tried:
            # Every server was tried: the next round begins.
            self._tried.clear()
        self._tried.add(number)
        self._number = number
        self.server = self._servers.servers[number].name
        return self._servers.servers[number]


class Pending:
    """The response of one of the servers."""

    def __init__(self, pending: PendingResponse, failed: Callable[[SpyglassError], None]) -> None:
        self._pending = pending
        self._failed = failed

    def result(self) -> Message:
        """See `PendingResponse.result`."""
        try:
            return self._pending.result()
        except SpyglassError as error:
            self._failed(error)
            raise

    def cancel(self) -> object:
        """See `PendingResponse.cancel`."""
        return self._pending.cancel()

    def add_done_callback(self, callback: Callable[[object], object]) -> object:
        """See `PendingResponse.add_done_callback`."""
        return self._pending.add_done_callback(callback)


class Stream:
    """The responses of one of the servers."""

    def __init__(
        self,
        responses: ResponseStream,
        worked: Callable[[], None],
        failed: Callable[[SpyglassError], None],
    ) -> None:
        self._responses = responses
        self._worked = worked
        self._failed = failed

    def __iter__(self) -> Iterator[Message]:
        try:
            for response in self._responses:
                self._worked()
                yield response
        except SpyglassError as error:
            self._failed(error)
            raise

    def cancel(self) -> object:
        """See `ResponseStream.cancel`."""
        return self._responses.cancel()
