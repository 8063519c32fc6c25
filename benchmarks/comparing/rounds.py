"""The measurement: every server in turn, while the others are stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from comparing.in_process import InProcessTarget
from comparing.variants import Served, Variant
from measuring.calls import Calls
from measuring.client_processes import ClientProcesses, shares
from measuring.closed_loop import run_closed_loop
from measuring.process_tree import ProcessTree
from measuring.stream_loop import StreamTarget, run_stream
from measuring.window import Window, wait_until
from spyglass_server.engine.capacity.processors import usable_cpus

_WARM_UP_SECONDS = 1.0


@dataclass(frozen=True)
class Load:
    """Requests of one kind: an image for a bundled model."""

    name: str
    model: str
    image: bytes


@dataclass(frozen=True)
class Figures:
    """One round of one server; times in milliseconds, processor times for each request."""

    cpu_ms: float
    per_second: float
    p50_ms: float
    p99_ms: float
    client_cpu_ms: float
    failed: int


def measure(served: Served, clients: ClientProcesses, concurrency: int, window: Window) -> Figures:
    """Load a server with `concurrency` callers, spread over the client processes, in `window`.

    Without a server there are as many threads as cores at most.
    """
    parts = _parts(served, concurrency, clients.count)
    run = run_stream if isinstance(served.target, StreamTarget) else run_closed_loop
    started = clients.start(run, [(served.target, part, window) for part in parts])
    spent = _cpu_within(served.tree, window)
    calls = Calls.joined([each.result() for each in started])
    count, seconds = max(len(calls.latencies), 1), window.seconds
    return Figures(
        cpu_ms=(calls.cpu_seconds if served.tree is None else spent) / count * 1e3,
        per_second=len(calls.latencies) / seconds,
        p50_ms=calls.milliseconds(50),
        p99_ms=calls.milliseconds(99),
        client_cpu_ms=calls.cpu_seconds / count * 1e3,
        failed=sum(calls.failures.values()),
    )


def processor_times(
    served: Mapping[str, Served], clients: ClientProcesses, concurrency: int, rounds: int, seconds: float
) -> dict[str, list[float]]:
    """Return the processor time of a request in each round, in milliseconds, for each server.

    All servers run. Each round loads them in turn, each time in another order.
    """
    found: dict[str, list[float]] = {name: [] for name in served}
    names = list(served)
    for _ in range(rounds):
        names = [*names[1:], names[0]]
        for name in names:
            window = Window.soon(_WARM_UP_SECONDS, seconds)
            found[name].append(measure(served[name], clients, concurrency, window).cpu_ms)
    return found


def _parts(served: Served, concurrency: int, processes: int) -> list[int]:
    """Return the callers of each client process."""
    if not isinstance(served.target, InProcessTarget):
        return shares(concurrency, processes)
    threads = min(concurrency, usable_cpus())
    return [1] * min(threads, processes) if served.target.processes else [threads]


def _cpu_within(tree: ProcessTree | None, window: Window) -> float:
    if tree is None:
        return 0.0
    wait_until(window.begin)
    before = tree.cpu_seconds()
    wait_until(window.end)
    return tree.cpu_seconds() - before


class Running:
    """The servers of one load. Only the one that is measured runs; the others are stopped."""

    def __init__(self, stack: ExitStack, variants: list[Variant], load: Load) -> None:
        """Start the servers, one after the other. Raises CallFailed if one does not respond."""
        self.load = load
        self._served: dict[str, Served] = {}
        for variant in variants:
            served = stack.enter_context(variant.started(load.model, load.image))
            self._served[variant.name] = served
            if served.tree is not None:
                # A stopped process does not end when it is told to.
                stack.callback(served.tree.resume)
                served.tree.suspend()

    @contextmanager
    def awake(self, name: str) -> Iterator[Served]:
        """Let one server run."""
        served = self._served[name]
        if served.tree is None:
            yield served
            return
        served.tree.resume()
        try:
            yield served
        finally:
            served.tree.suspend()

    def scores(self, name: str) -> dict[str, float] | None:
        """Return the response to one request; None for a stream, which has the unary call's response."""
        with self.awake(name) as served:
            if isinstance(served.target, StreamTarget):
                return None
            with served.target.connect(1) as (call,):
                return served.scores(call())


def largest_difference(expected: dict[str, float], found: dict[str, float] | None) -> Any:
    """Return the largest difference of a class's score; None without scores, or if the classes differ."""
    if found is None or expected.keys() != found.keys():
        return None
    return max(abs(expected[name] - found[name]) for name in expected)
