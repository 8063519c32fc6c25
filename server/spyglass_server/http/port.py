"""The HTTP port: it listens from its making on, and responds from `start` to `stop`."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from threading import Event, Thread

import uvicorn
from starlette.types import ASGIApp

from spyglass_server.http.connections import Connection
from spyglass_server.listening import ListenError, why_not

_KEEP_ALIVE_SECONDS = 60
_BACKLOG = 1024


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
        # Its own lines, such as those about callers that send no HTTP, are not for operators.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
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
            asyncio.run(self._server.serve(self._sockets))
        finally:
            self._ended.set()


def _bound(host: str, port: int, *, shared: bool) -> list[socket.socket]:
    """Return a socket for each address of a host, all with the same port."""
    bare = host.removeprefix("[").removesuffix("]")
    found: list[socket.socket] = []
    try:
        addresses = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(addresses):
            bound = socket.socket(family, kind, protocol)
            found.append(bound)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
            if family == socket.AF_INET6:
                # `[::]` takes IPv4, too, as it does for gRPC.
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            taken = found[0].getsockname()[1] if len(found) > 1 else port
            bound.bind((address[0], taken, *address[2:]))
            bound.listen(_BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        for bound in found:
            bound.close()
        raise ListenError(f"HTTP cannot listen on {host}:{port}: {why_not(host, port)}") from error
    return found
