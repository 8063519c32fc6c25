"""The processes of a server whose usage the load command reads."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from spyglass_cli.load.server_usage import ServerUsage

LISTEN = """
import socket, sys, time
made = socket.socket()
made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
made.bind(("127.0.0.1", int(sys.argv[1])))
made.listen()
print("listening", flush=True)
time.sleep(60)
"""


@pytest.fixture
def shared_port() -> Iterator[tuple[int, int]]:
    """A port on which this process and another one listen, and the id of the other one."""
    with socket.socket() as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        own.bind(("127.0.0.1", 0))
        own.listen()
        port = own.getsockname()[1]
        command = [sys.executable, "-c", LISTEN, str(port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout and other.stdout.readline() == "listening\n"
            yield port, other.pid
            other.kill()


def test_the_usage_is_that_of_all_processes_that_listen(shared_port: tuple[int, int]) -> None:
    port, other = shared_port

    usage = ServerUsage.of(f"localhost:{port}")

    assert usage
    assert usage.pids == sorted([os.getpid(), other])
    before = ServerUsage.of_this_process().read()
    total, own = usage.read(), ServerUsage.of_this_process().read()
    assert before and total and own
    assert total.resident > own.resident
    # In steps of the system's clock: the other process may not have used one.
    assert total.cpu_seconds >= before.cpu_seconds


def test_a_process_that_has_ended_has_no_usage(shared_port: tuple[int, int]) -> None:
    usage = ServerUsage.of(f"localhost:{shared_port[0]}")
    os.kill(shared_port[1], 9)
    os.waitpid(shared_port[1], 0)

    assert usage
    assert usage.read() is None


def test_a_port_without_a_server_has_no_usage() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))

        assert ServerUsage.of(f"localhost:{bound.getsockname()[1]}") is None
