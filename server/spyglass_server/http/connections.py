"""uvicorn's connections with bounds: of headers, of time, and of their number."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

PEER_NAMES = "spyglass.peer_names"
"""The key of a scope with the names in the client's certificate, if there is one."""

# Of a request line with its headers.
_MAX_HEAD_BYTES = 32 * 1024


class Connection(HttpToolsProtocol):
    """A connection. `limited` makes a class with its bounds."""

    most_connections = 1024
    head_seconds = 10.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; close the one that has been idle for longest if there are too many."""
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._peer_names = _names(transport)
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            idle = next((each for each in self._others() if not each.is_busy), self)
            idle.transport.abort()
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    @property
    def is_busy(self) -> bool:
        """Whether a request is in work."""
        return self.cycle is not None and not self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Take bytes; end the connection if a head is too long."""
        if not self.is_busy:
            self._start_timer()
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_timer and self._head_bytes > _MAX_HEAD_BYTES:
            self._end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too large")

    def on_headers_complete(self) -> None:
        """Begin a request."""
        self._stop_timer()
        head, self._head_bytes = self._head_bytes, 0
        # A body may have come with the head.
        if sum(len(name) + len(value) for name, value in self.headers) + len(self.url) > _MAX_HEAD_BYTES:
            self._head_bytes = head
            self._end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too large")
            return
        if self._peer_names:
            scope: dict[str, Any] = self.scope  # type: ignore[assignment]
            scope[PEER_NAMES] = self._peer_names
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._end(HTTPStatus.BAD_REQUEST, "the request is not valid HTTP")

    def _end(self, status: HTTPStatus, detail: str) -> None:
        self._stop_timer()
        if self.transport.is_closing():
            return
        body = (
            f'{{"type": "about:blank", "title": "{status.phrase}", "status": {status.value}, '
            f'"detail": "{detail}"}}'
        ).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _start_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self._too_slow)

    def _stop_timer(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        if self._head_bytes:
            self._end(HTTPStatus.REQUEST_TIMEOUT, "the headers did not arrive in time")
        else:
            self.transport.close()

    def _others(self) -> list[Connection]:
        return [each for each in self.connections if isinstance(each, Connection) and each is not self]


def limited(*, most_connections: int, head_seconds: float) -> type[Connection]:
    """Return the class of connections with these bounds."""
    return type(
        "LimitedConnection",
        (Connection,),
        {"most_connections": most_connections, "head_seconds": head_seconds},
    )


def _names(transport: asyncio.Transport) -> tuple[str, ...]:
    """Return the common names and the alternative names in the certificate of the client."""
    certificate: dict[str, Any] | None = transport.get_extra_info("peercert")
    if not certificate:
        return ()
    subject = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return (*subject, *(value for _, value in certificate.get("subjectAltName", ())))
