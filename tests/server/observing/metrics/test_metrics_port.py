"""The HTTP port: three pages, whoever else is connected."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPConnection

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from raw_exchange import exchange
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
def registry() -> CollectorRegistry:
    found = CollectorRegistry()
    Counter("things", "Things that were counted.", registry=found).inc(2)
    return found


@pytest.fixture
def port(health: Health, registry: CollectorRegistry) -> Iterator[MetricsPort]:
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


@pytest.mark.slow
@pytest.mark.parametrize("sent", [b"", b"GET /met", b"GET /metrics HTTP/1.1\r\n\r\n"])
def test_idle_connections_and_slow_readers_keep_nobody_out(port: MetricsPort, sent: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(200):
            idle = stack.enter_context(socket.create_connection(("localhost", port.port), PATIENCE))
            if sent:
                with suppress(OSError):
                    idle.sendall(sent)
        started = time.monotonic()
        for _ in range(20):
            assert ask(port, "/healthz")[0] == 200
        assert time.monotonic() - started < 5
        threads = [each for each in threading.enumerate() if "process_request_thread" in each.name]
        assert len(threads) <= http._CONNECTIONS + 5


class Broken(Collector):
    def collect(self) -> Iterator[Metric]:
        raise ValueError("inside")


def test_metrics_that_cannot_be_read_are_an_error_whose_cause_is_in_the_log(
    health: Health, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Broken())
    port = MetricsPort("localhost", 0, registry, lambda: health.alive, lambda: health.ready)
    port.start()
    try:
        status, text = ask(port, "/metrics")
    finally:
        port.stop()
    assert status == 500 and "inside" not in text
    assert "ValueError: inside" in caplog.text
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_a_reader_that_is_too_slow_leaves_no_trace(
    registry: CollectorRegistry,
    port: MetricsPort,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    monkeypatch.setattr(http._Handler, "timeout", 0.1)
    many = Gauge("many", "Many series.", ["number"], registry=registry)
    for number in range(30_000):
        many.labels(str(number) + "x" * 200)
    with socket.create_connection(("localhost", port.port), PATIENCE) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        eventually(lambda: len(port._server._open) == 1)
        eventually(lambda: len(port._server._open) == 0)
    assert "Traceback" not in capfd.readouterr().err


def test_old_connections_are_closed(port: MetricsPort, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_connection(("localhost", port.port), PATIENCE) as idle:
        assert ask(port, "/healthz")[0] == 200
        monkeypatch.setattr(http, "_LONGEST_SECONDS", 0.0)
        port.sweep()
        assert idle.recv(1) == b""


@pytest.mark.parametrize(
    "line",
    [b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x00\xa5" * 50, b"GET /" + b"a" * 100_000 + b"\r\n\r\n"],
)
def test_what_is_no_request_disturbs_nobody(port: MetricsPort, line: bytes) -> None:
    assert b"Traceback" not in exchange(port.port, line, PATIENCE)
    assert ask(port, "/healthz")[0] == 200
