"""HTTPS: authorities that change, and connections without a handshake."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from spyglass_server.server import Server
from spyglass_server.tls.files import TlsFiles
from tls_servers import serving


@pytest.fixture
def client_ca(tmp_path: Path, authority: Any) -> Path:
    """A file with the authorities whose clients the server accepts."""
    path = tmp_path / "clients.pem"
    path.write_bytes(authority.pem.read_bytes())
    return path


@pytest.fixture
def server(tiny_models: Path, authority: Any, client_ca: Path) -> Iterator[Server]:
    files = TlsFiles(*authority.issue("https"), client_ca)
    with serving(tiny_models, files, http_port=0, max_connections=4) as server:
        yield server


def context_of(authority: Any, signed_by: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.pem))
    context.load_cert_chain(*signed_by.issue("https-client", "caller.example"))
    return context


def asks(server: Server, context: ssl.SSLContext) -> bool:
    connection = HTTPSConnection("localhost", server.http_port, timeout=30, context=context)
    with closing(connection):
        try:
            connection.request("GET", "/v1/models")
            return connection.getresponse().status == 200
        except OSError:
            return False


def test_an_authority_that_is_removed_is_not_trusted_any_more(
    server: Server,
    authority: Any,
    other_authority: Any,
    client_ca: Path,
    eventually: Callable[..., None],
) -> None:
    old, new = context_of(authority, authority), context_of(authority, other_authority)
    assert asks(server, old) and not asks(server, new)

    client_ca.write_bytes(other_authority.pem.read_bytes())

    eventually(lambda: asks(server, new))
    assert not asks(server, old)


@pytest.mark.slow
def test_connections_without_a_handshake_are_bounded(
    server: Server, authority: Any, eventually: Callable[..., None]
) -> None:
    silent = [socket.create_connection(("localhost", server.http_port), 30) for _ in range(100)]
    ended = []

    def some_ended() -> bool:
        for one in silent:
            one.setblocking(False)
            try:
                if one not in ended and not one.recv(1):
                    ended.append(one)
            except BlockingIOError:
                pass
            except OSError:
                ended.append(one)
        # The port takes 4 connections, and 64 handshakes.
        return len(ended) == 100 - 68

    eventually(some_ended)
    for one in silent:
        one.close()
    eventually(lambda: asks(server, context_of(authority, authority)))
