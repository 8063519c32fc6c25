"""The port that the supervisor holds: for the sockets of its workers, and for nobody else."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Timer

import pytest

from spyglass_server.listening import ListenError, bind_problem
from spyglass_server.supervising import held_port as module
from spyglass_server.supervising.held_port import held_port

HOST = "127.0.0.1"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.1)


@pytest.fixture
def resources() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listen(resources: ExitStack, port: int, *, shared: bool = False, address: str = HOST) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = resources.enter_context(socket.socket(family))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
    made.bind((address, port))
    made.listen(1)
    return made


def test_several_sockets_that_share_may_listen_on_a_held_port(resources: ExitStack) -> None:
    port = resources.enter_context(held_port(HOST, 0))

    listen(resources, port, shared=True)
    listen(resources, port, shared=True)


@pytest.mark.parametrize("workers", [0, 1])
def test_another_server_cannot_listen_on_a_held_port(resources: ExitStack, workers: int) -> None:
    port = resources.enter_context(held_port(HOST, 0))
    for _ in range(workers):
        listen(resources, port, shared=True)

    with pytest.raises(OSError, match="in use"):
        listen(resources, port)
    assert bind_problem(HOST, port) == "another process uses this port"


def test_a_second_supervisor_is_refused(resources: ExitStack) -> None:
    port = resources.enter_context(held_port(HOST, 0))

    with pytest.raises(ListenError, match=f"cannot listen on {HOST}:{port}: another process uses this port"):
        resources.enter_context(held_port(HOST, port))


def test_a_second_supervisor_is_refused_if_only_workers_of_the_first_are_left(resources: ExitStack) -> None:
    with held_port(HOST, 0) as port:
        listen(resources, port, shared=True)

    with pytest.raises(ListenError, match="another process uses this port"):
        resources.enter_context(held_port(HOST, port))


def test_a_supervisor_waits_for_the_workers_of_a_killed_one(
    resources: ExitStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 10)
    with held_port(HOST, 0) as port:
        worker = listen(resources, port, shared=True)
    timer = Timer(0.2, worker.close)
    timer.start()

    with caplog.at_level(logging.INFO):
        assert resources.enter_context(held_port(HOST, port)) == port
    timer.join()
    assert f"port {port} is in use: waiting for up to 10 s" in caplog.text


def test_connections_of_an_earlier_server_do_not_hold_its_port(resources: ExitStack) -> None:
    with held_port(HOST, 0) as port:
        worker = listen(resources, port, shared=True)
        client = resources.enter_context(socket.create_connection((HOST, port)))
        resources.enter_context(worker.accept()[0])
        worker.close()

    assert resources.enter_context(held_port(HOST, port)) == port
    assert client.getpeername()[1] == port


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
def test_all_addresses_of_a_host_are_held(resources: ExitStack) -> None:
    for host in ("[::]", "0.0.0.0"):
        with ExitStack() as one:
            port = one.enter_context(held_port(host, 0))
            for address in (HOST, "::1"):
                with pytest.raises(OSError, match="in use"):
                    listen(one, port, address=address)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("203.0.113.7", "this machine has no such address"),
        ("no-such-host.invalid", "is not an address or a host name of this machine"),
    ],
)
def test_a_port_that_cannot_be_held_is_an_error_with_its_cause(
    resources: ExitStack, host: str, reason: str
) -> None:
    with pytest.raises(ListenError, match=reason):
        resources.enter_context(held_port(host, 0))
