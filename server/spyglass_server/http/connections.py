"""uvicorn's connections with bounds: of headers, of time, and of their number."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from spyglass_server.http.crowd import Crowd

PEER_NAMES = "spyglass.peer_names"
"""The key of a scope with the names in the client's certificate, if there is one."""

# Of a request line with its headers.
_MAX_HEAD_BYTES = 32 * 1024
# A caller reads its response with at least so many bytes a second.
_LEAST_READ_PER_SECOND = 16 * 1024


class Connection(HttpToolsProtocol):
    """A connection. `limited` makes a class with its bounds."""

    crowd: Crowd
    seconds: float

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        self._head_bytes = 0
        # Whether the body of a request is still to come.
        self._in_body = False
        self._timer: asyncio.TimerHandle | None = None
        self._reading_timer: asyncio.TimerHandle | None = None
        self._peer_names = _names(transport)
        super().connection_made(transport)
        self.crowd.enter(transport, len(self.connections))
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        self._stop_reading_timer()
        self.crowd.leave(self.transport)
        super().connection_lost(exc)

    @property
    def is_busy(self) -> bool:
        """Whether a request is in work."""
        return self.cycle is not None and not self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Take bytes; end the connection if a head is too long.

        A request can have its response before its body is there, such as a refusal. The rest of the body is
        dropped: if the connection ended at once, its caller would not see the response.
        """
        if not self.is_busy:
            self._start_timer()
            if not self._in_body:
                self._head_bytes += len(data)
        super().data_received(data)
        if self._timer and self._head_bytes > _MAX_HEAD_BYTES:
            self._end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "HEADERS_TOO_LARGE", _TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Begin a request."""
        self._stop_timer()
        self._in_body = True
        head, self._head_bytes = self._head_bytes, 0
        # A body may have come with the head.
        if sum(len(name) + len(value) for name, value in self.headers) + len(self.url) > _MAX_HEAD_BYTES:
            self._head_bytes, self._in_body = head, False
            self._end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "HEADERS_TOO_LARGE", _TOO_LARGE)
            return
        if self._peer_names:
            scope: dict[str, Any] = self.scope  # type: ignore[assignment]
            scope[PEER_NAMES] = self._peer_names
        self.crowd.work(self.transport)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End the body of a request."""
        self._in_body = False
        super().on_message_complete()
        if not self.is_busy:
            self._stop_timer()
            self._start_timer()

    def on_response_complete(self) -> None:
        """End a request."""
        if not self.pipeline and not self.transport.is_closing():
            self.crowd.rest(self.transport)
            if self._in_body:
                self._start_timer()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Begin to watch whether the caller reads its response."""
        super().pause_writing()
        self.crowd.unread(self.transport)
        self._watch_reading()

    def resume_writing(self) -> None:
        """End the watch: the caller has read its response."""
        super().resume_writing()
        self._stop_reading_timer()
        self.crowd.read(self.transport)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._end(HTTPStatus.BAD_REQUEST, "HTTP_INVALID", "the request is not valid HTTP")

    def _end(self, status: HTTPStatus, reason: str, detail: str) -> None:
        self._stop_timer()
        # After a response, another one would be taken for that of the next request.
        if self.transport.is_closing() or self.is_busy or self._in_body:
            self.transport.close()
            return
        problem = {
            "type": "about:blank",
            "title": status.phrase,
            "status": status.value,
            "detail": detail,
            "code": "DEADLINE_EXCEEDED" if status == HTTPStatus.REQUEST_TIMEOUT else "INVALID_ARGUMENT",
            "reason": reason,
        }
        body = json.dumps(problem).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.seconds, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self._head_bytes:
            detail = f"the headers did not arrive within {self.seconds:g} s"
            self._end(HTTPStatus.REQUEST_TIMEOUT, "REQUEST_TOO_SLOW", detail)
        else:
            self.transport.close()

    def _watch_reading(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._stop_reading_timer()
        self._reading_timer = self.loop.call_later(self.seconds, self._check_reading, left)

    def _check_reading(self, before: int) -> None:
        read = before - self.transport.get_write_buffer_size()
        if read < self.seconds * _LEAST_READ_PER_SECOND:
            self.transport.abort()
        else:
            self._watch_reading()

    def _stop_reading_timer(self) -> None:
        if self._reading_timer:
            self._reading_timer.cancel()
            self._reading_timer = None


_TOO_LARGE = f"the request line and the headers may have at most {_MAX_HEAD_BYTES:,} bytes together"


def limited(crowd: Crowd, *, seconds: float) -> type[Connection]:
    """Return the class of the connections of a port.

    A head arrives within `seconds`; so does the rest of a body whose request has its response.
    """
    return type("LimitedConnection", (Connection,), {"crowd": crowd, "seconds": seconds})


def _names(transport: asyncio.Transport) -> tuple[str, ...]:
    """Return the common names and the alternative names in the certificate of the client."""
    certificate: dict[str, Any] | None = transport.get_extra_info("peercert")
    if not certificate:
        return ()
    subject = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return (*subject, *(value for _, value in certificate.get("subjectAltName", ())))
