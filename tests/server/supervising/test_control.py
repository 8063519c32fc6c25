"""Private calls between processes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spyglass_contract.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InternalError,
    SpyglassError,
    Unavailable,
)
from spyglass_server.supervising.control import ControlClient, ControlServer


def fail(request: bytes) -> bytes:
    raise FailedPrecondition("load it first", reason="VERSION_NOT_SERVING", field="version")


def crash(request: bytes) -> bytes:
    raise ValueError("a secret")


def wait(request: bytes) -> bytes:
    time.sleep(0.5)
    return b""


METHODS = {"Echo": lambda request: request, "Fail": fail, "Crash": crash, "Wait": wait}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "socket"


@pytest.fixture
def server(path: Path) -> Iterator[ControlServer]:
    made = ControlServer(path, METHODS)
    yield made
    made.stop()


@pytest.fixture
def client(path: Path) -> Iterator[ControlClient]:
    made = ControlClient(path)
    yield made
    made.close()


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("size", [0, 1, 8_000_000])
def test_the_request_reaches_the_method_and_its_response_the_caller(client: ControlClient, size: int) -> None:
    assert client.call("Echo", b"x" * size, seconds=10) == b"x" * size


@pytest.mark.usefixtures("server")
def test_the_caller_gets_the_error_of_the_method(client: ControlClient) -> None:
    with pytest.raises(FailedPrecondition, match="load it first") as raised:
        client.call("Fail", seconds=10)
    assert (raised.value.reason, raised.value.field) == ("VERSION_NOT_SERVING", "version")


@pytest.mark.usefixtures("server")
def test_an_unexpected_error_is_in_the_log_only(
    client: ControlClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(InternalError) as raised:
        client.call("Crash", seconds=10)
    assert "a secret" not in str(raised.value)
    assert "a secret" in caplog.text


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("method", ["Wait", "Unknown"])
def test_a_call_without_a_response_is_an_error(client: ControlClient, method: str) -> None:
    with pytest.raises(SpyglassError, match=rf"the process at socket did not respond to {method}") as raised:
        client.call(method, seconds=0.1)
    assert isinstance(raised.value, DeadlineExceeded if method == "Wait" else Unavailable)


def test_a_process_that_is_gone_is_unavailable(client: ControlClient) -> None:
    with pytest.raises(Unavailable):
        client.call("Echo", seconds=1)


def test_a_client_finds_the_process_that_replaces_another(client: ControlClient, path: Path) -> None:
    first = ControlServer(path, {"Who": lambda _: b"first"})
    assert client.call("Who", seconds=10) == b"first"
    first.stop()
    assert not path.exists()
    second = ControlServer(path, {"Who": lambda _: b"second"})
    again = ControlClient(path)
    try:
        assert again.call("Who", seconds=10) == b"second"
    finally:
        again.close()
        second.stop()


def test_a_socket_of_an_earlier_process_is_replaced(client: ControlClient, path: Path) -> None:
    path.write_bytes(b"")
    server = ControlServer(path, METHODS)
    try:
        assert client.call("Echo", b"1", seconds=10) == b"1"
    finally:
        server.stop()
