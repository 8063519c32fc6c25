"""Random bytes at the port of the metrics: it responds or disconnects, and goes on."""

from __future__ import annotations

import random
import re
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

import pytest
from mutations import mutate
from PIL import Image as PillowImage

from plain_images import encode_image
from raw_exchange import exchange

HANG_SECONDS = 10.0

pytestmark = pytest.mark.slow

REQUESTS = (
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n",
    b"GET /metrics?name[]=spyglass_requests_total HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n",
    b"HEAD /readyz HTTP/1.0\r\n\r\n",
    b"POST /healthz HTTP/1.1\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
)


def test_any_bytes_are_answered_or_disconnected(fuzzed: Callable[..., Any]) -> None:
    port = free_port()
    target = fuzzed("--metrics-port", port)
    codes: set[bytes] = set()
    for chance in target.rounds():
        target.call(lambda chance=chance: codes.update(codes_of(port, any_request(chance))))
    with urlopen(f"http://localhost:{port}/readyz", timeout=HANG_SECONDS) as page:
        assert page.status == 200
    assert {b"200", b"400", b"404"} <= codes
    target.finish(encode_image(PillowImage.new("RGB", (8, 8), "red"), "PNG"))


def any_request(chance: random.Random) -> bytes:
    if chance.random() < 0.05:
        return chance.randbytes(chance.choice((1, 100, 70_000)))
    request = chance.choice(REQUESTS)
    return request if chance.random() < 0.1 else mutate(request, chance, chance.choice(REQUESTS))


def codes_of(port: int, data: bytes) -> list[bytes]:
    """Return the status codes in the response to bytes."""
    started = time.monotonic()
    received = exchange(port, data, HANG_SECONDS)
    assert time.monotonic() - started < HANG_SECONDS
    assert b"Traceback" not in received
    return re.findall(rb"^HTTP/1\.[01] (\d{3}) ", received)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])
