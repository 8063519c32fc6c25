"""The measurement of one load: in processes of its own against a server, or in this process without one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from spyglass_cli.load.connections import Connection, ToServer
from spyglass_cli.load.loads import Load
from spyglass_cli.load.processes import Window, Workers, run_load, wait_until
from spyglass_cli.load.recording import Record
from spyglass_cli.load.results import Measured
from spyglass_cli.load.server_usage import ServerUsage, Usage
from spyglass_cli.load.work import Work


@dataclass(frozen=True)
class Bench:
    """Measures loads of `work`, each for `seconds` after `warm_up` seconds.

    `workers` is None for a measurement in this process. `usage` reads what the server uses, if it is known.
    `cached`: the server has the responses to the images, so that it runs no network.
    """

    connection: Connection
    work: Work
    warm_up: float
    seconds: float
    workers: Workers | None
    usage: ServerUsage | None
    cached: bool

    @classmethod
    @contextmanager
    def opened(
        cls, connection: Connection, work: Work, *, processes: int, warm_up: float, seconds: float
    ) -> Iterator[Bench]:
        """Send two equal requests, and yield a Bench, with `processes` client processes if there is a server.

        Raises SpyglassError if one of them fails.
        """
        with connection.client() as client:
            send = work.blocking(client)
            send(0)
            cached = send(0).timing.cached
        if not isinstance(connection, ToServer):
            yield cls(connection, work, warm_up, seconds, None, ServerUsage.of_this_process(), cached)
            return
        workers = Workers(connection, work, processes)
        try:
            usage = ServerUsage.of(connection.address)
            yield cls(connection, work, warm_up, seconds, workers, usage, cached)
        finally:
            workers.close()

    def measure(self, load: Load) -> Measured:
        """Run a load. Raises SpyglassError if it cannot run at all; failed requests are in the result."""
        window = Window.starting(self.warm_up, self.seconds)
        with ThreadPoolExecutor(1) as reader:
            # The usage counts from the moment that the requests count.
            before = reader.submit(self._read_at, window.begin)
            record = self._run(load, window)
            return Measured(load, self.seconds, record, before.result(), self._read_at(0))

    def _run(self, load: Load, window: Window) -> Record:
        if self.workers is None:
            return run_load(self.connection, self.work, load, window)
        self.workers.start(load, window)
        return self.workers.finish()

    def _read_at(self, moment: float) -> Usage | None:
        wait_until(moment)
        return None if self.usage is None else self.usage.read()
