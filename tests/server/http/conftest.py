"""A server with an HTTP port, which the tests of a module share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from http_callers import Caller
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings


@pytest.fixture(scope="module")
def http_server(tiny_models: Path) -> Iterator[Server]:
    """A server of the tiny classifier, which the tests of a module share."""
    settings = ServerSettings(
        models=[tiny_models], host="localhost", port=0, http_port=0, profile_seconds=0, concurrency=1
    )
    server = Server(settings)
    server.start()
    yield server
    server.stop(grace=0)


@pytest.fixture
def caller(http_server: Server) -> Iterator[Caller]:
    """A caller of the shared server."""
    made = Caller(http_server.http_port)
    yield made
    made.connection.close()
