"""A transport over several servers: it stays with one until that one is unavailable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Lock

from google.protobuf.message import Message

from spyglass_client._transports.transport import NonBlockingTransport, PendingResponse, ResponseStream
from spyglass_contract.errors import SpyglassError, Unavailable


class SeveralServers:
    """Sends each call to the current server; if that one is unavailable, the next server becomes the current.

    The client's retry sends the failed call to it. After the last server comes the first one.
    """

    def __init__(self, servers: Sequence[NonBlockingTransport]) -> None:
        """Call `servers` in their order; `close` closes them."""
        self._servers = tuple(servers)
        self._current = 0
        self._lock = Lock()

    def send(self, method: str, request: Message, timeout: float | None) -> Message:
        """See `Transport.send`."""
        number = self._current
        try:
            return self._servers[number].send(method, request, timeout)
        except SpyglassError as error:
            self._leave(number, error)
            raise

    def start(self, method: str, request: Message, timeout: float | None) -> _Pending:
        """See `NonBlockingTransport.start`."""
        number = self._current
        pending = self._servers[number].start(method, request, timeout)
        return _Pending(pending, lambda error: self._leave(number, error))

    def stream(self, method: str, requests: Iterator[Message]) -> _Stream:
        """See `Transport.stream`."""
        number = self._current
        responses = self._servers[number].stream(method, requests)
        return _Stream(responses, lambda error: self._leave(number, error))

    def close(self) -> None:
        """Close the connections to all servers."""
        for server in self._servers:
            server.close()

    def _leave(self, number: int, error: SpyglassError) -> None:
        with self._lock:
            # Of many calls that fail together, only one moves on.
            if isinstance(error, Unavailable) and number == self._current:
                self._current = (number + 1) % len(self._servers)


class _Pending:
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


class _Stream:
    """The responses of one of the servers."""

    def __init__(self, responses: ResponseStream, failed: Callable[[SpyglassError], None]) -> None:
        self._responses = responses
        self._failed = failed

    def __iter__(self) -> Iterator[Message]:
        try:
            yield from self._responses
        except SpyglassError as error:
            self._failed(error)
            raise

    def cancel(self) -> object:
        """See `ResponseStream.cancel`."""
        return self._responses.cancel()
