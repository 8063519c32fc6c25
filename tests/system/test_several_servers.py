"""Clients of several server processes under load, of which one ends and comes back."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from spyglass_client import AsyncClient, Client, Failure, SpyglassError, Timeout
from tiny_classifier import tiny_card, write_tiny_model

pytestmark = pytest.mark.slow

THREADS = 6
TASKS = 6


class Load:
    """Callers of both clients, and of streams, until `stop`; they count the versions that served them."""

    def __init__(self, addresses: list[str], image: bytes) -> None:
        self._image = image
        self._ended = Event()
        self.served: dict[str, Counter[int]] = {name: Counter() for name in ("threads", "tasks", "streams")}
        self.failures: list[str] = []
        timeout = Timeout(call=30)
        self._client = Client(addresses, timeout=timeout)
        self._async_client = AsyncClient(addresses, timeout=timeout)
        self._pool = ThreadPoolExecutor(THREADS + 2)
        self._running = [self._pool.submit(self._call) for _ in range(THREADS)]
        self._running.append(self._pool.submit(lambda: asyncio.run(self._call_from_tasks())))
        self._running.append(self._pool.submit(self._stream))

    def stop(self) -> None:
        self._ended.set()
        for running in self._running:
            running.result()
        self._pool.shutdown()
        self._client.close()

    def _note(self, kind: str, call: Callable[[], Any]) -> None:
        try:
            result = call()
        except SpyglassError as error:
            self.failures.append(repr(error))
            return
        if isinstance(result, Failure):
            self.failures.append(repr(result.error))
        else:
            self.served[kind][result.model.version] += 1

    def _call(self) -> None:
        while not self._ended.is_set():
            self._note("threads", lambda: self._client.classify(self._image))

    async def _call_from_tasks(self) -> None:
        async def call() -> None:
            while not self._ended.is_set():
                try:
                    result = await self._async_client.classify(self._image)
                except SpyglassError as error:
                    self.failures.append(repr(error))
                else:
                    self.served["tasks"][result.model.version] += 1

        async with self._async_client:
            await asyncio.gather(*(call() for _ in range(TASKS)))

    def _stream(self) -> None:
        while not self._ended.is_set():
            results = self._client.classify_many([self._image] * 50, window=8)
            while (result := self._next(results)) is not None:
                self._note("streams", lambda result=result: result)  # type: ignore[misc]

    def _next(self, results: Iterator[Any]) -> Any:
        try:
            return next(results, None)
        except SpyglassError as error:
            self.failures.append(repr(error))
            return None


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two folders of models: version 1 and version 2 of one classifier."""
    folders = [tmp_path / str(version) for version in (1, 2)]
    for version, folder in enumerate(folders, 1):
        write_tiny_model(folder, tiny_card(version=version))
    return folders


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_no_call_fails_if_one_of_two_servers_ends_under_load_and_it_gets_calls_again_when_it_is_back(
    spawn_server: Callable[..., Any],
    folders: list[Path],
    chelsea: bytes,
    eventually: Callable[[Callable[[], bool]], None],
    ending: signal.Signals,
) -> None:
    servers = [spawn_server("--models", folder) for folder in folders]
    for server in servers:
        server.wait_until_serving()
    load = Load([server.address.replace("localhost", "127.0.0.1") for server in servers], chelsea)

    def served_more(version: int, calls: int) -> Callable[[], bool]:
        before = {kind: counts[version] for kind, counts in load.served.items()}
        return lambda: all(counts[version] >= before[kind] + calls for kind, counts in load.served.items())

    for _ in range(3):
        for version in (1, 2):
            eventually(served_more(version, 20))
        servers[0].process.send_signal(ending)
        servers[0].wait_until_ended()
        eventually(served_more(2, 50))
        servers[0] = spawn_server("--models", folders[0], "--port", servers[0].port)
        servers[0].wait_until_serving()
        eventually(served_more(1, 20))
    load.stop()
    assert load.failures == []
