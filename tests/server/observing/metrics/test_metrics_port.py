"""The HTTP port: three pages, whoever else is connected."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest
from prometheus_client import CollectorRegistry, Counter

from spyglass_server.listening import ListenError
from spyglass_server.observing.metrics import http
from spyglass_server.observing.metrics.http import MetricsPort

PATIENCE = 30


class Health:
    """The answers of the two checks."""

    alive = ready = ""


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def port(health: Health) -> Iterator[MetricsPort]:
    registry = CollectorRegistry()
    Counter("things", "Things that were counted.", registry=registry).inc(2)
    opened = MetricsPort("localhost", 0, registry, lambda: health.alive, lambda: health.ready)
    opened.start()
    yield opened
    opened.stop()


def ask(port: MetricsPort, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = HTTPConnection("localhost", port.port, timeout=PATIENCE)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", "replace")
    finally:
        connection.close()


def test_the_metrics_are_text(port: MetricsPort) -> None:
    status, text = ask(port, "/metrics")

    assert status == 200
    assert "# TYPE things_total counter\nthings_total 2.0\n" in text


def test_a_scraper_may_ask_for_openmetrics(port: MetricsPort) -> None:
    status, text = ask(port, "/metrics", Accept="application/openmetrics-text; version=1.0.0")

    assert status == 200 and text.endswith("# EOF\n")


def test_the_checks_say_why_the_server_is_not_well(port: MetricsPort, health: Health) -> None:
    assert ask(port, "/healthz") == ask(port, "/readyz") == (200, "ok\n")

    health.alive, health.ready = "stuck", "starting"
    assert ask(port, "/healthz") == (503, "stuck\n")
    assert ask(port, "/readyz") == (503, "starting\n")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/metrics/", 404), ("POST", "/metrics", 405), ("DELETE", "/readyz", 405)],
)
def test_there_is_nothing_else(port: MetricsPort, method: str, path: str, status: int) -> None:
    assert ask(port, path, method)[0] == status


def test_a_request_without_a_body_is_answered(port: MetricsPort) -> None:
    assert ask(port, "/healthz", "HEAD") == (200, "")


def test_a_port_that_is_taken_is_an_error(port: MetricsPort) -> None:
    with pytest.raises(ListenError, match=f"localhost:{port.port}: another process uses this port"):
        MetricsPort("localhost", port.port, CollectorRegistry(), str, str)


def test_silent_connections_are_closed_and_others_are_served(
    port: MetricsPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("localhost", port.port), PATIENCE))
            for _ in range(200)
        ]
        for each in silent[:20]:
            each.sendall(b"GET /met")
        # More than the limit wait: they are closed at once, and the others soon.
        monkeypatch.setattr(http, "_LONGEST_SECONDS", 0.0)
        deadline = time.monotonic() + PATIENCE
        status = 0
        while status != 200 and time.monotonic() < deadline:
            port.sweep()
            try:
                status = ask(port, "/healthz")[0]
            except OSError:
                time.sleep(0.01)
        assert status == 200


@pytest.mark.parametrize(
    "line",
    [b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x00\xa5" * 50, b"GET /" + b"a" * 100_000 + b"\r\n\r\n"],
)
def test_what_is_no_request_disturbs_nobody(port: MetricsPort, line: bytes) -> None:
    with socket.create_connection(("localhost", port.port), PATIENCE) as connection:
        connection.sendall(line)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while data := connection.recv(4096):
                received += data
        except ConnectionError:
            received = b""
    assert b"Traceback" not in received
    assert ask(port, "/healthz")[0] == 200
