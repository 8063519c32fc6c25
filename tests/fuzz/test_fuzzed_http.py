"""Random bytes at the HTTP ports: they respond or disconnect, and go on."""

from __future__ import annotations

import base64
import json
import random
import re
import socket
import time
from collections.abc import Callable, Sequence
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


def test_any_request_of_the_http_port_is_answered_or_disconnected(fuzzed: Callable[..., Any]) -> None:
    port, image = free_port(), encode_image(PillowImage.new("RGB", (8, 8), "red"), "PNG")
    target = fuzzed("--http-port", port)
    requests, codes = http_requests(image), set()
    for chance in target.rounds():
        data = any_request(chance, requests)
        target.call(lambda data=data: codes.update(codes_of(port, data)))
    with urlopen(f"http://localhost:{port}/readyz", timeout=HANG_SECONDS) as page:
        assert page.status == 200
    assert {b"200", b"400", b"404"} <= codes and b"500" not in codes
    target.finish(image)


def http_requests(image: bytes) -> tuple[bytes, ...]:
    """Return one request of each kind."""
    encoded = base64.b64encode(image).decode()
    form = (
        b"--b\r\ncontent-disposition: form-data; name=top_k\r\n\r\n2\r\n"
        b'--b\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        + image
        + b"\r\n--b--\r\n"
    )
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [encoded]}
    outputs = [{"name": "probabilities", "parameters": {"classification": 2, "binary_data": True}}]
    infer = json.dumps(
        {"id": "a", "inputs": [tensor], "outputs": outputs, "parameters": {"timeout": 9000000}}
    )
    classify = json.dumps(
        {"image": {"encoded": encoded}, "topK": 2, "model": {"name": "colors", "version": 1}}
    )
    return (
        posted("/v1/classify?top_k=2&id=a&timeout=5", image, "image/png"),
        posted("/v1/classify", form, "multipart/form-data; boundary=b"),
        posted("/v1/classify", classify.encode(), "application/json"),
        posted("/v1/heatmap?format=png_gray", image, "image/png\r\naccept: image/png;q=0.5"),
        posted("/v2/models/colors/versions/1/infer", infer.encode(), "application/json"),
        posted("/v2/repository/index", b'{"ready": true}', "application/json"),
        *(
            f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode()
            for path in ("/v1/models", "/v1/models/colors:1", "/v2/models/colors", "/openapi.json", "/v2")
        ),
    )


def posted(path: str, body: bytes, kind: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: {kind}\r\n"
        f"content-length: {len(body)}\r\nx-request-timeout: 5\r\n\r\n"
    )
    return head.encode() + body


def any_request(chance: random.Random, requests: Sequence[bytes] = REQUESTS) -> bytes:
    if chance.random() < 0.05:
        return chance.randbytes(chance.choice((1, 100, 70_000)))
    request = chance.choice(requests)
    return request if chance.random() < 0.1 else mutate(request, chance, chance.choice(requests))


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
