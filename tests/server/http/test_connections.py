"""Connections that are slow, large or not HTTP; TLS, tokens, and the end of the server."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPSConnection
from threading import Thread
from typing import Any

import pytest

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass_server.tls.files import TlsFiles

HEAD = b"POST /v1/classify HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/png\r\n"


@contextmanager
def connected(server: Any) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("localhost", server.http_port), 30)) as connection:
        yield connection


def everything(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("sent", [b"", b"POST /v1/cl", HEAD])
def test_a_head_that_does_not_arrive_ends_the_connection(run_server: Callable[..., Any], sent: bytes) -> None:
    server = run_server(http_port=0, receive_seconds=0.3).server
    with connected(server) as connection:
        connection.sendall(sent)
        started = time.monotonic()
        reply = everything(connection)

    assert time.monotonic() - started < 10
    assert reply.startswith(b"HTTP/1.1 408 ") if sent else not reply


def test_a_body_that_does_not_arrive_ends_the_request(run_server: Callable[..., Any]) -> None:
    server = run_server(http_port=0, receive_seconds=0.3).server
    with connected(server) as connection:
        connection.sendall(HEAD + b"content-length: 100\r\nconnection: close\r\n\r\nhalf")
        reply = everything(connection)

    assert reply.startswith(b"HTTP/1.1 408 ") and b"REQUEST_TOO_SLOW" in reply


def test_a_body_arrives_before_the_time_of_its_caller_is_over(http_server: Any) -> None:
    with connected(http_server) as connection:
        head = HEAD + b"x-request-timeout: 0.2\r\nconnection: close\r\ncontent-length: 100\r\n\r\n"
        connection.sendall(head + b"half")
        started = time.monotonic()
        reply = everything(connection)

    assert time.monotonic() - started < 10
    assert reply.startswith(b"HTTP/1.1 504 ") and b"DEADLINE_EXCEEDED" in reply


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"x-long: " + b"x" * 100_000 + b"\r\n\r\n",
        HEAD + b"".join(b"x-%d: 1\r\n" % number for number in range(20_000)) + b"\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
        HEAD + b"x-long: " + b"x" * 100_000,
    ],
    ids=["one header", "many headers", "path", "half a header"],
)
def test_a_head_that_is_too_large_is_refused(http_server: Any, head: bytes) -> None:
    with connected(http_server) as connection:
        try:
            connection.sendall(head)
            reply = everything(connection)
        # The server has closed before it was all sent. A server that waits for more ends in a timeout.
        except ConnectionError:
            reply = b"HTTP/1.1 431 "

    assert reply.startswith(b"HTTP/1.1 431 ")
    with connected(http_server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert everything(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00\x01\x00", b"hello\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
)
def test_what_is_not_http_is_refused(http_server: Any, sent: bytes) -> None:
    with connected(http_server) as connection:
        connection.sendall(sent)
        assert everything(connection).startswith(b"HTTP/1.1 400 ")


def test_a_content_length_that_is_no_number_is_refused(http_server: Any) -> None:
    for value in (b"-1", b"1e3", b"5, 5", b"9" * 40):
        with connected(http_server) as connection:
            connection.sendall(HEAD + b"connection: close\r\ncontent-length: " + value + b"\r\n\r\nabc")
            assert everything(connection).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 "))


def test_two_requests_at_once_on_one_connection_are_both_answered(http_server: Any) -> None:
    with connected(http_server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\nGET /healthz HTTP/1.0\r\n\r\n")
        assert everything(connection).count(b"HTTP/1.1 200 ") == 2


def test_idle_connections_give_way_to_new_ones(run_server: Callable[..., Any]) -> None:
    server = run_server(http_port=0, max_connections=3).server
    idle = [socket.create_connection(("localhost", server.http_port), 30) for _ in range(6)]
    with connected(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert everything(connection).startswith(b"HTTP/1.1 200 ")
    for one in idle:
        one.close()


def test_slow_bodies_leave_memory_for_others(
    run_server: Callable[..., Any], callers: Callable[[Any], Any], color_image: Callable[..., bytes]
) -> None:
    running = run_server(http_port=0, max_bytes_in_flight=2_000_000)
    slow = []
    for _ in range(8):
        connection = socket.create_connection(("localhost", running.server.http_port), 30)
        connection.sendall(HEAD + b"content-length: 1000000\r\n\r\n" + b"x" * 300_000)
        slow.append(connection)

    assert callers(running).post("/v1/classify", color_image("red")).status == 200

    first = slow[0].recv(65536)
    assert first.startswith(b"HTTP/1.1 429 ") and b"BYTES_IN_FLIGHT" in first
    for connection in slow:
        connection.close()


def test_the_limits_of_a_caller_count_its_http_requests(
    run_server: Callable[..., Any], callers: Callable[[Any], Any], color_image: Callable[..., bytes]
) -> None:
    caller = callers(run_server(http_port=0, caller_requests_per_second=1))
    statuses = [caller.post("/v1/classify", color_image("red")).status for _ in range(4)]

    assert statuses[0] == 200 and statuses[-1] == 429


@pytest.fixture
def https(run_server: Callable[..., Any], authority: Any) -> Callable[..., Any]:
    """Start a server with a certificate."""

    def start(**settings: Any) -> Any:
        certificate, key = authority.issue("localhost")
        return run_server(http_port=0, tls_certificate=certificate, tls_key=key, **settings).server

    return start


def ask(server: Any, context: ssl.SSLContext) -> int:
    with closing(HTTPSConnection("localhost", server.http_port, timeout=30, context=context)) as connection:
        connection.request("GET", "/v1/models")
        return connection.getresponse().status


def test_https_has_the_certificate_of_the_server(https: Callable[..., Any], authority: Any) -> None:
    server = https()

    assert ask(server, ssl.create_default_context(cafile=str(authority.pem))) == 200
    with pytest.raises(ssl.SSLError):
        ask(server, ssl.create_default_context())


def test_https_asks_for_the_certificates_of_clients(https: Callable[..., Any], authority: Any) -> None:
    server = https(tls_client_ca=authority.pem)
    context = ssl.create_default_context(cafile=str(authority.pem))
    with pytest.raises((ssl.SSLError, OSError)):
        ask(server, context)

    context.load_cert_chain(*authority.issue("caller", "caller.example"))

    assert ask(server, context) == 200


def test_https_follows_its_files(
    run_server: Callable[..., Any], authority: Any, other_authority: Any, eventually: Callable[..., None]
) -> None:
    certificate, key = authority.issue("localhost")
    files = TlsFiles(certificate, key)
    server = run_server(http_port=0, tls_certificate=certificate, tls_key=key).server
    trusting = ssl.create_default_context(cafile=str(other_authority.pem))
    with pytest.raises(ssl.SSLError):
        ask(server, trusting)

    for path, data in zip(
        (files.key, files.certificate), reversed(other_authority.issue("localhost")), strict=True
    ):
        path.write_bytes(data.read_bytes())

    def is_new() -> bool:
        try:
            return ask(server, trusting) == 200
        except ssl.SSLError:
            return False

    eventually(is_new)


@pytest.mark.slow
def test_a_server_that_ends_finishes_its_requests_and_refuses_others(
    run_server: Callable[..., Any],
    open_network: Any,
    network: Any,
    callers: Callable[[Any], Any],
    color_image: Callable[..., bytes],
    eventually: Callable[..., None],
) -> None:
    running = run_server(open_network, http_port=0)
    held, other = callers(running), callers(running)
    assert other.get("/readyz").status == 200
    network.close_gate()
    held.connection.request("POST", "/v1/classify", color_image("red"), {"content-type": "image/png"})
    assert network.entered.acquire(timeout=30)
    ending = Thread(target=running.server.stop, args=(10,))
    ending.start()
    eventually(lambda: not running.server._readiness.is_open)

    refused = other.post("/v1/classify", color_image("red"))

    assert (refused.status, refused.json["reason"]) == (503, "NOT_READY")
    network.gate.set()
    response = held.connection.getresponse()
    assert response.status == 200 and json.loads(response.read())["classes"]
    ending.join(20)
    assert not ending.is_alive()


@pytest.mark.slow
def test_requests_of_both_ports_share_the_time_that_a_server_takes_to_end(
    run_server: Callable[..., Any],
    open_network: Any,
    network: Any,
    callers: Callable[[Any], Any],
    color_image: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running = run_server(open_network, http_port=0)
    # It waits for the network itself; a process ends without that.
    close = running.server._engine.close
    monkeypatch.setattr(running.server._engine, "close", lambda: None)
    image = color_image("red")
    network.close_gate()
    held = callers(running)
    held.connection.request("POST", "/v1/classify", image, {"content-type": "image/png"})
    assert network.entered.acquire(timeout=30)
    other = running.vision.Classify.future(ClassifyRequest(image=Image(encoded=image)), timeout=30)
    started = time.monotonic()

    running.server.stop(grace=3)

    assert time.monotonic() - started < 5.5
    network.gate.set()
    assert other.exception(timeout=30)
    close()


def test_a_port_that_is_taken_is_named(run_server: Callable[..., Any], http_server: Any) -> None:
    from spyglass_server.listening import ListenError

    with pytest.raises(ListenError, match=f"HTTP cannot listen on localhost:{http_server.http_port}"):
        run_server(http_port=http_server.http_port)
