"""Servers with TLS, and clients of them."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spyglass_client import Client, Credentials, Retry, Timeout
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings
from spyglass_server.tls.files import TlsFiles

PATIENCE = 30


@contextmanager
def serving(models: Path, files: TlsFiles, **settings: Any) -> Iterator[Server]:
    server = Server(
        ServerSettings(
            models=[models],
            host="localhost",
            port=0,
            profile_seconds=0,
            tls_certificate=files.certificate,
            tls_key=files.key,
            tls_client_ca=files.client_ca,
            **settings,
        )
    )
    server.start()
    try:
        yield server
    finally:
        server.stop(grace=0)


def client_of(server: Server, credentials: Credentials) -> Client:
    return Client(
        f"localhost:{server.port}", credentials=credentials, timeout=Timeout(call=10), retry=Retry(attempts=1)
    )


def shown_by(port: int, ca: Path) -> bytes:
    """Return the certificate that a server shows now, as DER."""
    context = ssl.create_default_context(cafile=str(ca))
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("localhost", port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as encrypted,
    ):
        return encrypted.getpeercert(binary_form=True) or b""
