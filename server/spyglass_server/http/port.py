"""The HTTP port: it listens from its making on, and responds from `start` to `stop`."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Iterable
from threading import Event, Thread
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from spyglass_server.http.connections import Connection
from spyglass_server.listening import ListenError, why_not

_KEEP_ALIVE_SECONDS = 60
_BACKLOG = 1024
# As for gRPC.
_HANDSHAKE_SECONDS = 10.0
_GOODBYE_SECONDS = 5.0
# Their lines, such as those about callers that send no HTTP, are not for operators.
_SILENT = ("uvicorn.error", "python_multipart")
# Another process can take the port of the first address before that of the second one is bound.
_ATTEMPTS = 8


class _Loop(asyncio.SelectorEventLoop):
    """A loop with bounds on the time of TLS handshakes, which uvicorn does not set."""

    async def create_server(self, *args: Any, ssl: Any = None, **options: Any) -> asyncio.Server:
        if ssl:
            options = {
                **options,
                "ssl": ssl,
                "ssl_handshake_timeout": _HANDSHAKE_SECONDS,
                "ssl_shutdown_timeout": _GOODBYE_SECONDS,
            }
        return await super().create_server(*args, **options)


class HttpPort:
    """A port with a thread of its own, which runs its event loop."""

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        connections: type[Connection],
        tls: ssl.SSLContext | None,
        *,
        shared: bool = False,
    ) -> None:
        """Bind the port; 0 takes any free one. `shared`: other processes of this user listen on it, too.

        Raises ListenError.
        """
        self._sockets = _bound(host, port, shared=shared)
        self.port: int = self._sockets[0].getsockname()[1]
        for name in _SILENT:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        config = uvicorn.Config(
            app,
            http=connections,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            ssl_context_factory=(lambda config, default: tls) if tls else None,
        )
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._run, name="http", daemon=True)
        self._ended = Event()

    def start(self) -> None:
        """Respond from now on."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Take no further connections, and finish the requests in work for up to `seconds`.

        May be called again, and before `start`.
        """
        if not self._thread.ident:
            for bound in self._sockets:
                bound.close()
            return
        self._server.should_exit = True
        if not self._ended.wait(seconds):
            self._server.force_exit = True
            self._ended.wait(1.0)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_Loop) as runner:
                runner.run(self._server.serve(self._sockets))
        finally:
            self._ended.set()


def _bound(host: str, port: int, *, shared: bool) -> list[socket.socket]:
    """Return a socket for each address of a host that this machine has, all with the same port."""
    bare = host.removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        addresses = [(family, address) for family, _, _, _, address in found]
        for attempt in range(_ATTEMPTS):
            try:
                return _bound_to(addresses, port, shared=shared)
            except OSError as error:
                if port or error.errno != errno.EADDRINUSE or attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError
    except (OSError, OverflowError, UnicodeError) as error:
        raise ListenError(f"HTTP cannot listen on {host}:{port}: {why_not(host, port)}") from error


def _bound_to(addresses: Iterable[tuple[int, Any]], port: int, *, shared: bool) -> list[socket.socket]:
    found: list[socket.socket] = []
    missing: OSError | None = None
    for family, address in dict.fromkeys(addresses):
        try:
            found.append(_bound_socket(family, (address[0], port, *address[2:]), shared=shared))
        except OSError as error:
            # Such as `::1`, which a name can have on a machine without IPv6.
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                missing = error
                continue
            for bound in found:
                bound.close()
            raise
        port = found[0].getsockname()[1]
    if not found and missing:
        raise missing
    return found


def _bound_socket(family: int, address: tuple[Any, ...], *, shared: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        if family == socket.AF_INET6:
            # `[::]` takes IPv4, too, as it does for gRPC.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound
