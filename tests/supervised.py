"""`spyglass serve --workers N` in real processes: their numbers, their metrics and their ends."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from server_process import ServerProcess

PATIENCE = 60.0


class Supervised:
    """A supervisor with its workers, and the page of their metrics."""

    def __init__(self, process: ServerProcess, workers: int) -> None:
        self.process = process
        self.workers = workers

    @property
    def address(self) -> str:
        return self.process.address

    def wait_until_all_serve(self) -> None:
        """Wait until the first worker serves, and then all others."""
        self.process.wait_until_serving()
        text = f"ok: {self.workers} of {self.workers} workers serve\n"
        wait_for(lambda: self.page("readyz") == (200, text))

    def pids(self) -> dict[int, int]:
        """The process of each worker by its number, as the log has them: the last one counts."""
        found = re.findall(r"worker (\d+) is process (\d+)", "".join(self.process.log))
        return {int(number): int(pid) for number, pid in found}

    def kill(self, number: int) -> None:
        """End a worker as `kill -9` does."""
        os.kill(self.pids()[number], signal.SIGKILL)

    def page(self, name: str) -> tuple[int, str]:
        """The status and the text of a page of the metrics port."""
        (line,) = [line for line in self.process.log if "metrics on port" in line]
        port = line.rpartition("port ")[2].strip()
        try:
            with urlopen(f"http://localhost:{port}/{name}", timeout=PATIENCE) as response:
                return response.status, response.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metrics(self) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
        """Every value by name and labels."""
        found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
        for family in text_string_to_metric_families(self.page("metrics")[1]):
            for sample in family.samples:
                found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
        return found

    def value(self, name: str, **labels: str) -> float:
        """The sum of the values with these labels."""
        values = self.metrics().get(name, {})
        return sum(value for key, value in values.items() if labels.items() <= dict(key).items())


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a condition is true. Fails after a minute."""
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends, "the condition was still false after a minute"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not yet reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def supervise(spawn_server: Callable[..., Any]) -> Iterator[Callable[..., Supervised]]:
    """Start a server with several workers: `supervise("--models", path, workers=3)`."""
    started: list[Supervised] = []

    def start(*flags: object, workers: int = 2) -> Supervised:
        process = spawn_server("--workers", workers, "--metrics-port", 0, *flags)
        started.append(Supervised(process, workers))
        return started[-1]

    yield start
    for one in started:
        one.process.end()
