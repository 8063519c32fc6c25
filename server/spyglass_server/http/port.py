"""The HTTP port: it listens from its making on, and responds from `start` to `stop`."""

from __future__ import annotations

import asyncio
import logging
import ssl
from threading import Event, Thread
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from spyglass_server.http.connections import Connection
from spyglass_server.http.sockets import BACKLOG, bound_sockets

_KEEP_ALIVE_SECONDS = 60
# As for gRPC.
_HANDSHAKE_SECONDS = 10.0
_GOODBYE_SECONDS = 5.0
# Their lines, such as those about callers that send no HTTP, are not for operators.
_SILENT = ("uvicorn.error", "python_multipart")


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
        self._sockets = bound_sockets(host, port, shared=shared)
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
            backlog=BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            ssl_context_factory=(lambda config, default: tls) if tls else None,
        )
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._run, name="http", daemon=True)
        self._ended = Event()

    def start(self) -> None:
        """Respond from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Take no further connections; requests in work go on. May be called again, and before `start`."""
        if self._thread.ident:
            self._server.should_exit = True
            return
        for bound in self._sockets:
            bound.close()
        self._ended.set()

    def wait(self, seconds: float) -> None:
        """Wait for the requests in work, and cut off those that take longer than so many seconds."""
        if not self._ended.wait(seconds):
            self._server.force_exit = True
            self._ended.wait(1.0)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_Loop) as runner:
                runner.run(self._server.serve(self._sockets))
        finally:
            self._ended.set()
