"""Requests to the HTTP port of a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import pytest

PATIENCE = 30


@dataclass
class Reply:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """Sends requests to an HTTP port over one connection."""

    def __init__(self, port: int) -> None:
        self.connection = HTTPConnection("localhost", port, timeout=PATIENCE)

    def send(self, method: str, path: str, body: bytes | str | None = None, **headers: str) -> Reply:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body, names)
        response = self.connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, found, response.read())

    def get(self, path: str, **headers: str) -> Reply:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: bytes | str = b"", kind: str = "image/png", **headers: str) -> Reply:
        return self.send("POST", path, body, content_type=kind, **headers)


@pytest.fixture
def callers() -> Iterator[Callable[[Any], Caller]]:
    """Make a caller of a server's HTTP port."""
    made: list[Caller] = []

    def make(running: Any) -> Caller:
        made.append(Caller(running.server.http_port))
        return made[-1]

    yield make
    for one in made:
        one.connection.close()
