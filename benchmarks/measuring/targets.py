"""Where calls go, and the bytes that they send: prepared once, so that a client process costs little.

A target can be pickled. Its `connect` returns a function that sends the same request each time and returns
the body of the response. Every connection stays open between the requests.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

import grpc

_TIMEOUT = 30.0
CLASSIFY = "/spyglass.v1.Vision/Classify"
CLASSIFY_STREAM = "/spyglass.v1.Vision/ClassifyStream"


class CallFailed(Exception):
    """A call that did not return a result; the text is its status code."""


class Target(Protocol):
    """A server, and the request to send to it."""

    def connect(self, callers: int) -> AbstractContextManager[list[Callable[[], bytes]]]:
        """Return a context manager that yields `callers` functions; each sends a request."""
        ...


@dataclass(frozen=True)
class GrpcTarget:
    """A gRPC method. All callers of a process share one connection, as they do in gRPC's own clients.

    Each call sends `token`. `ca` is the authority of a server with TLS, in PEM.
    """

    address: str
    method: str
    payload: bytes
    token: str = ""
    ca: bytes | None = None

    @contextmanager
    def connect(self, callers: int) -> Iterator[list[Callable[[], bytes]]]:
        """See `Target`. A call raises CallFailed."""
        metadata = [("authorization", f"Bearer {self.token}")] if self.token else None
        with own_channel(self.address, self.ca) as channel:
            method = channel.unary_unary(self.method)

            def call() -> bytes:
                try:
                    return bytes(method(self.payload, timeout=_TIMEOUT, metadata=metadata))
                except grpc.RpcError as error:
                    raise CallFailed(error.code().name) from None  # type: ignore[attr-defined]

            yield [call] * callers


@dataclass(frozen=True)
class OwnConnections:
    """A gRPC method whose callers have a connection each, as separate programs do."""

    target: GrpcTarget

    @contextmanager
    def connect(self, callers: int) -> Iterator[list[Callable[[], bytes]]]:
        """See `Target`. A call raises CallFailed."""
        with ExitStack() as stack:
            yield [stack.enter_context(self.target.connect(1))[0] for _ in range(callers)]


@dataclass(frozen=True)
class HttpTarget:
    """A path of an HTTP/1.1 server. Each caller has a connection, which stays open."""

    port: int
    path: str
    payload: bytes
    content_type: str
    # Further ones.
    headers: tuple[tuple[str, str], ...] = ()

    @contextmanager
    def connect(self, callers: int) -> Iterator[list[Callable[[], bytes]]]:
        """See `Target`. A call raises CallFailed."""
        connections = [
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT) for _ in range(callers)
        ]
        try:
            yield [self._call(connection) for connection in connections]
        finally:
            for connection in connections:
                connection.close()

    def _call(self, connection: http.client.HTTPConnection) -> Callable[[], bytes]:
        headers = {"Content-Type": self.content_type, **dict(self.headers)}

        def call() -> bytes:
            try:
                connection.request("POST", self.path, self.payload, headers)
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                raise CallFailed(type(error).__name__) from None
            if response.status != http.client.OK:
                raise CallFailed(f"HTTP {response.status}")
            return body

        return call


def own_channel(address: str, ca: bytes | None = None) -> grpc.Channel:
    """Return a channel with a connection of its own: gRPC shares one between equal channels of a process."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    if ca is None:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca), options=options)
