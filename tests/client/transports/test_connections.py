"""Connections of every kind: Unix sockets, TLS by the scheme, proxies in the environment."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

import spyglass_client as sc
from spyglass.v1.vision_pb2_grpc import add_VisionServicer_to_server

Connect = Callable[..., Any]
Serve = Callable[..., str]
MakeVision = Callable[..., Any]

ONCE = sc.Retry(attempts=1)


@pytest.mark.parametrize("scheme", ["http://", "grpc://", "tcp://", "dns:///", "dns:", ""])
def test_a_server_is_reached_by_any_scheme_without_tls(
    serve: Serve, connect: Connect, fake_vision: MakeVision, scheme: str
) -> None:
    assert connect(scheme + serve(fake_vision())).classify(b"image").best.name == "cat"


def test_a_unix_socket_is_reached_by_its_path(
    connect: Connect, fake_vision: MakeVision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server = grpc.server(ThreadPoolExecutor(4))
    add_VisionServicer_to_server(fake_vision(), server)
    server.add_insecure_port("unix:vision.sock")
    server.start()
    try:
        for address in (f"unix:{tmp_path}/vision.sock", f"unix://{tmp_path}/vision.sock", "unix:vision.sock"):
            client = connect(address)
            assert client.classify(b"image").best.name == "cat"
            assert len(list(client.classify_many([b"image"] * 3))) == 3
    finally:
        server.stop(None).wait()


def test_the_scheme_https_turns_tls_on(serve: Serve, connect: Connect, fake_vision: MakeVision) -> None:
    plain = serve(fake_vision())
    # The handshake fails, because the server speaks no TLS. No retry can change that: one attempt is enough.
    with pytest.raises(sc.Unavailable) as caught:
        connect(f"https://{plain}", retry=sc.Retry()).classify(b"image", timeout=600)
    assert caught.value.reason == "TLS_FAILED"


class Proxy:
    """A proxy that records its requests and refuses all of them."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.requests: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(1000).partition(b"\r\n")[0])
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture(params=["http_proxy", "https_proxy", "grpc_proxy"])
def proxy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy that one of the variables of the environment names."""
    opened = Proxy()
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(request.param, opened.url)
    yield opened
    opened.close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "http://localhost"])
def test_no_proxy_is_used_for_a_loopback_address(
    serve: Serve, connect: Connect, fake_vision: MakeVision, proxy: Proxy, host: str
) -> None:
    port = serve(fake_vision()).rpartition(":")[2]
    assert connect(f"{host}:{port}").classify(b"image").best.name == "cat"
    assert proxy.requests == []


@pytest.mark.parametrize("address", ["[::1]:1", "unix:/nobody", "0.0.0.0:1", "127.0.0.9:1"])
def test_no_proxy_is_used_for_a_server_on_this_machine(proxy: Proxy, address: str) -> None:
    with sc.Client(address, retry=ONCE) as client, pytest.raises(sc.Unavailable):
        client.classify(b"image")
    assert proxy.requests == []


def test_other_addresses_go_through_the_proxy_of_the_environment(proxy: Proxy) -> None:
    # A separate host name for each proxy, because gRPC shares connections between channels.
    host = f"server{proxy.url.rpartition(':')[2]}.invalid"
    with sc.Client(f"{host}:7", retry=ONCE) as client, pytest.raises(sc.Unavailable):
        client.classify(b"image")
    assert proxy.requests[:1] == [f"CONNECT {host}:7 HTTP/1.1".encode()]


def test_the_environment_exempts_addresses_from_the_proxy(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", ".invalid")
    with sc.Client("exempt.invalid:7", retry=ONCE) as client, pytest.raises(sc.Unavailable):
        client.classify(b"image")
    assert proxy.requests == []


def test_a_channel_can_ignore_the_proxy(proxy: Proxy) -> None:
    with (
        sc.open_channel("unproxied.invalid:7", proxy=False) as channel,
        sc.Client(open_channel=lambda: channel, retry=ONCE) as client,
        pytest.raises(sc.Unavailable),
    ):
        client.classify(b"image")
    assert proxy.requests == []
