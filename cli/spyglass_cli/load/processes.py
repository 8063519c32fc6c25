"""A load test in several processes that begin and end together."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

from spyglass_cli.load.closed_loop import run_closed_loop
from spyglass_cli.load.connections import Connection
from spyglass_cli.load.loads import Load, OpenLoop, StreamLoop
from spyglass_cli.load.open_loop import run_open_loop
from spyglass_cli.load.recording import Record
from spyglass_cli.load.stream_loop import run_stream_loop
from spyglass_cli.load.traffic import Traffic
from spyglass_cli.load.work import Work
from spyglass_contract.errors import InternalError, SpyglassError

# Time for every process to learn when the load begins.
_START_SECONDS = 0.1


@dataclass(frozen=True)
class Window:
    """Times of `time.monotonic`: the load runs from `warm_up` to `end`, and counts from `begin` on."""

    warm_up: float
    begin: float
    end: float

    @classmethod
    def starting(cls, warm_up: float, seconds: float) -> Window:
        """Return a window that starts soon and lasts `warm_up` and `seconds`."""
        start = time.monotonic() + _START_SECONDS
        return cls(start, start + warm_up, start + warm_up + seconds)


def run_load(connection: Connection, work: Work, load: Load, window: Window) -> Record:
    """Run a load in this process. Raises SpyglassError if it cannot open a client."""
    traffic = Traffic(window.begin, window.end)
    record = _run(connection, work, load, window, traffic)
    record.sent, record.received = traffic.sent, traffic.received
    return record


def _run(connection: Connection, work: Work, load: Load, window: Window, traffic: Traffic) -> Record:
    if isinstance(load, OpenLoop):
        return asyncio.run(_run_open_loop(connection, work, load, window, traffic))
    with connection.client(traffic) as client:
        wait_until(window.warm_up)
        if isinstance(load, StreamLoop):
            return run_stream_loop(client, work, load, window.begin, window.end)
        return run_closed_loop(client, work, load, window.begin, window.end)


async def _run_open_loop(
    connection: Connection, work: Work, load: OpenLoop, window: Window, traffic: Traffic
) -> Record:
    async with connection.async_client(traffic) as client:
        wait_until(window.warm_up)
        return await run_open_loop(client, work, load, window.warm_up, window.begin, window.end)


def wait_until(moment: float) -> None:
    """Sleep until a time of `time.monotonic`."""
    time.sleep(max(moment - time.monotonic(), 0))


class Workers:
    """Processes that run loads; they are started once, because their imports take seconds."""

    def __init__(self, connection: Connection, work: Work, count: int) -> None:
        """Start `count` processes. Raises SpyglassError if one of them cannot start."""
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Pipe] = []
        self._used: list[Pipe] = []
        with ExitStack() as stack:
            self._processes = []
            for _ in range(count):
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve_loads, args=(connection, work, theirs), daemon=True)
                process.start()
                theirs.close()
                self._pipes.append(ours)
                self._processes.append(process)
                stack.callback(process.terminate)
            for pipe in self._pipes:
                _receive(pipe)
            stack.pop_all()

    def start(self, load: Load, window: Window) -> None:
        """Start a load; `finish` returns what it measured."""
        self._used = list(self._pipes[: len(load.parts(len(self._pipes)))])
        for pipe, part in zip(self._used, load.parts(len(self._pipes)), strict=True):
            pipe.send((part, window))

    def finish(self) -> Record:
        """Wait for the load, and return the requests of all processes. Raises SpyglassError."""
        record = Record()
        for found in [_receive(pipe) for pipe in self._used]:
            assert found is not None
            record.merge(found)
        return record

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()


def _receive(pipe: Pipe) -> Record | None:
    try:
        found: Record | SpyglassError | None = pipe.recv()
    except EOFError:
        raise InternalError("a process of the load generator ended") from None
    if isinstance(found, SpyglassError):
        raise found
    return found


def _serve_loads(connection: Connection, work: Work, pipe: Pipe) -> None:
    """Run the loads that arrive on `pipe`, and send back a Record or an error for each."""
    pipe.send(None)
    while True:
        try:
            load, window = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            pipe.send(run_load(connection, work, load, window))
        except SpyglassError as error:
            pipe.send(error)
        except KeyboardInterrupt:
            return
