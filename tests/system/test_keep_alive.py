"""Pings of the client to real server processes."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from spyglass_client import AsyncClient, Client, KeepAlive, Timeout

pytestmark = pytest.mark.slow


@pytest.fixture
def start_server(spawn_server: Callable[..., Any], tiny_models: Path) -> Callable[[], Any]:
    """Start a server with one tiny model."""

    def start() -> Any:
        server = spawn_server("--models", tiny_models, "--host", "127.0.0.1")
        server.wait_until_serving()
        return server

    return start


def address(server: Any) -> str:
    return f"127.0.0.1:{server.port}"


def test_calls_on_a_server_that_freezes_move_to_another_one_after_a_ping(
    start_server: Callable[[], Any], chelsea: bytes
) -> None:
    """The kernel of a frozen server still accepts connections and data."""
    servers = [start_server(), start_server()]

    async def classify() -> list[str]:
        keep_alive = KeepAlive(interval=10, timeout=1)
        targets = [address(server) for server in servers]
        async with AsyncClient(targets, timeout=Timeout(call=120), keep_alive=keep_alive) as client:
            await asyncio.gather(*(client.classify(chelsea) for _ in range(8)))
            servers[0].process.send_signal(signal.SIGSTOP)
            started = time.monotonic()
            results = await asyncio.gather(*(client.classify(chelsea) for _ in range(8)))
            # Without pings it would take until the deadline, and with gRPC's own timeout 60 s.
            assert time.monotonic() - started < 40
            return [result.model.name for result in results]

    try:
        assert asyncio.run(classify()) == ["colors"] * 8
    finally:
        servers[0].process.send_signal(signal.SIGCONT)


def test_the_server_allows_the_shortest_interval_on_an_idle_connection(
    start_server: Callable[[], Any], chelsea: bytes
) -> None:
    """It closes a connection at the third ping that comes too early."""
    server = start_server()

    def connections() -> set[int]:
        every = psutil.Process().net_connections("tcp")
        return {own.laddr.port for own in every if own.raddr and own.raddr.port == server.port}

    with Client(address(server), keep_alive=KeepAlive(interval=10, idle=True)) as client:
        client.classify(chelsea)
        before = connections()
        assert len(before) == 1
        end = time.monotonic() + 33
        while time.monotonic() < end:
            assert connections() == before
            time.sleep(0.5)
        client.classify(chelsea)
        assert connections() == before
