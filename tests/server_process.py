"""`spyglass serve` in a separate process."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from threading import Event, Thread

import pytest

_DEFAULTS = {"--host": "localhost", "--port": "0", "--profile-seconds": "0"}


class ServerProcess:
    """A process of `spyglass serve` on a free port. A thread reads its log as it is written."""

    def __init__(self, flags: tuple[str, ...]) -> None:
        # The server rejects a flag that is given twice.
        defaults = [part for pair in _DEFAULTS.items() if pair[0] not in flags for part in pair]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "spyglass_cli", "serve", *defaults, *flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.port = 0
        self.log: list[str] = []
        self._ready = Event()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    def wait_until_serving(self) -> None:
        assert self._ready.wait(60)
        assert self.port, "".join(self.log)

    def wait_until_ended(self) -> int:
        """Wait until the process has ended and its log is complete. Return the exit code."""
        code = self.process.wait(60)
        self._reader.join(60)
        return code

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait_until_ended()
        assert self.process.stderr
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"serving on port (\d+)", line):
                self.port = int(found[1])
                self._ready.set()
        self._ready.set()


@pytest.fixture(scope="session")
def spawn_server() -> Iterator[Callable[..., ServerProcess]]:
    """Start a server process: `spawn_server("--models", path, …)`. It runs until the test session ends."""
    spawned: list[ServerProcess] = []

    def spawn(*flags: object) -> ServerProcess:
        spawned.append(ServerProcess(tuple(str(flag) for flag in flags)))
        return spawned[-1]

    yield spawn
    for server in spawned:
        server.end()
