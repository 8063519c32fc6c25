"""Where the requests of a load test go: a server, or the models in this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from google.protobuf.message import Message

from spyglass_cli.flags.connection import ConnectionFlags
from spyglass_cli.load.traffic import CountingChannel, Traffic
from spyglass_client import (
    AsyncClient,
    Client,
    NonBlockingTransport,
    PendingResponse,
    ResponseStream,
    Retry,
    Timeout,
    open_channel,
    parse_addresses,
)

# A load test counts what a server refuses, so the client does not send it again.
_NO_RETRY = Retry(attempts=1)


class Connection(Protocol):
    """Opens clients; the deadline of each request is the same.

    The clients count what they send and receive in `traffic`, if there is a server.
    """

    def client(self, traffic: Traffic | None = None) -> Client:
        """Return a new blocking client. Raises SpyglassError."""
        ...

    def async_client(self, traffic: Traffic | None = None) -> AsyncClient:
        """Return a new client for asyncio. Raises SpyglassError."""
        ...


@dataclass(frozen=True)
class ToServer:
    """A connection to the server at `address`, with a deadline of `timeout` seconds; it can be pickled."""

    address: str
    timeout: float
    flags: ConnectionFlags

    def client(self, traffic: Traffic | None = None) -> Client:
        """See `Connection.client`."""
        return Client(**self._options(traffic))

    def async_client(self, traffic: Traffic | None = None) -> AsyncClient:
        """See `Connection.async_client`."""
        return AsyncClient(**self._options(traffic))

    def _options(self, traffic: Traffic | None) -> dict[str, Any]:
        credentials = self.flags.read()
        timeout = Timeout(call=self.timeout)
        options = {"timeout": timeout, "retry": _NO_RETRY, "credentials": credentials}
        addresses = parse_addresses(self.address)
        # The client chooses among several servers itself, by channels of its own.
        if traffic is None or len(addresses) > 1 or addresses[0].several:
            return {**options, "target": self.address}

        def counting() -> CountingChannel:
            return CountingChannel(
                open_channel(self.address, timeout=timeout, credentials=credentials), traffic
            )

        return {**options, "open_channel": counting}


class InProcess:
    """The models in this process: they are loaded once, whatever the number of clients."""

    def __init__(self, models: Path | None, timeout: float) -> None:
        """Read the folder `models`, None: the bundled models. Raises ModelError without models."""
        from spyglass_server.local import local_transport

        self._transport = local_transport(models, device="cpu")
        self._timeout = Timeout(call=timeout)

    def client(self, traffic: Traffic | None = None) -> Client:
        """See `Connection.client`; nothing is sent."""
        return Client(transport=_Shared(self._transport), timeout=self._timeout, retry=_NO_RETRY)

    def async_client(self, traffic: Traffic | None = None) -> AsyncClient:
        """See `Connection.async_client`; nothing is sent."""
        return AsyncClient(transport=_Shared(self._transport), timeout=self._timeout, retry=_NO_RETRY)

    def close(self) -> None:
        """Close the models."""
        self._transport.close()


class _Shared:
    """A transport that several clients use, so that none of them closes it."""

    def __init__(self, transport: NonBlockingTransport) -> None:
        self._transport = transport

    def send(self, method: str, request: Message, timeout: float | None) -> Message:
        return self._transport.send(method, request, timeout)

    def start(self, method: str, request: Message, timeout: float | None) -> PendingResponse:
        return self._transport.start(method, request, timeout)

    def stream(self, method: str, requests: Iterator[Message]) -> ResponseStream:
        return self._transport.stream(method, requests)

    def close(self) -> None:
        pass
