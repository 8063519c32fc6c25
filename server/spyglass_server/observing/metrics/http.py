"""The HTTP port of the metrics: `/metrics`, `/healthz` and `/readyz`."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import StringIO
from socketserver import ThreadingMixIn
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TextIO
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from spyglass_server.listening import ListenError, why_not

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)

# Connections at a time; for a further one, the oldest is closed.
_CONNECTIONS = 32
# A connection is closed after so long, in seconds: it may be one that sends a byte now and then.
_LONGEST_SECONDS = 10.0

Check = Callable[[], str]
"""Returns why something is not well; an empty text: it is well."""


class MetricsPort:
    """Listens from its making on, and responds from `start` to `stop`."""

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        alive: Check,
        ready: Check,
        well: Callable[[], str] = lambda: "ok",
    ) -> None:
        """Bind the port; 0 takes any free one. `well` returns what /readyz says if `ready` finds nothing.

        Raises ListenError.
        """
        bare = host.removeprefix("[").removesuffix("]")
        kind = _Server6 if ":" in bare else _Server
        try:
            self._server = kind((bare, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = why_not(host, port)
            raise ListenError(f"the metrics cannot listen on {host}:{port}: {reason}") from error
        self._server.set_app(application(registry, alive, ready, well))
        self.port = self._server.server_port

    def start(self) -> None:
        """Respond, on threads of its own."""
        Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def sweep(self) -> None:
        """Close the connections that are too old."""
        self._server.sweep()

    def stop(self) -> None:
        """Respond no more; may be called before `start`."""
        self._server.end()


def application(
    registry: CollectorRegistry, alive: Check, ready: Check, well: Callable[[], str] = lambda: "ok"
) -> WSGIApplication:
    """Return the WSGI application of the three pages."""
    metrics = make_wsgi_app(registry)
    checks: dict[str, tuple[Check, Callable[[], str]]] = {
        "/healthz": (alive, lambda: "ok"),
        "/readyz": (ready, well),
    }

    def respond(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _text(
                start_response, "405 Method Not Allowed", "expected GET or HEAD", ("Allow", "GET, HEAD")
            )
        if path == "/metrics":
            try:
                page: Iterable[bytes] = metrics(environ, start_response)
            except Exception:
                _log.exception("the metrics could not be read")
                return _text(
                    start_response,
                    "500 Internal Server Error",
                    "the metrics could not be read; the log of the server says why",
                )
            return page
        if found := checks.get(path):
            check, describe = found
            if problem := check():
                return _text(start_response, "503 Service Unavailable", problem)
            return _text(start_response, "200 OK", describe())
        return _text(start_response, "404 Not Found", "expected /metrics, /healthz or /readyz")

    return respond


def _text(
    start_response: StartResponse, status: str, text: str, *headers: tuple[str, str]
) -> Iterable[bytes]:
    body = f"{text}\n".encode()
    start_response(
        status,
        [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), *headers],
    )
    return [body]


class _Handler(WSGIRequestHandler):
    timeout = _LONGEST_SECONDS

    def get_stderr(self) -> TextIO:
        """Drop what wsgiref writes beside the log: the stack trace of a client that reads too slowly."""
        return StringIO()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing: a scrape comes every few seconds."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128
    # `server_close` does not wait for the connections.
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        self._lock = Lock()
        self._open: dict[socket.socket, float] = {}
        self._serving = False
        super().__init__(*arguments)

    def server_bind(self) -> None:
        # Not that of HTTPServer, which asks for the host's name and may wait for DNS.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "spyglass", self.server_address[1]
        self.setup_environ()

    def serve_forever(self, poll_interval: float = 0.1) -> None:
        self._serving = True
        super().serve_forever(poll_interval)

    def end(self) -> None:
        if self._serving:
            self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            # In the order of their beginning. So connections that do nothing cannot keep Prometheus out.
            oldest = next(iter(self._open)) if len(self._open) >= _CONNECTIONS else None
            if oldest:
                del self._open[oldest]
            self._open[request] = time.monotonic()
        if oldest:
            _cut(oldest)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def sweep(self) -> None:
        now = time.monotonic()
        with self._lock:
            old = [each for each, since in self._open.items() if now - since > _LONGEST_SECONDS]
        for connection in old:
            _cut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log no stack trace if a client disconnects."""
        _log.debug("a connection to the metrics failed", exc_info=True)


def _cut(connection: socket.socket) -> None:
    """End what a thread reads or writes; the thread then closes the connection."""
    # It may have ended meanwhile.
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Server6(_Server):
    address_family = socket.AF_INET6
