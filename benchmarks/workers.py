"""Measure what worker processes bring, and what they cost in memory.

Several servers run side by side: one process, and several workers on one port, all with the same number of
inferences at a time. Each round loads them in turn, each time in another order, while the others are stopped;
every caller has a connection of its own. The ratios are those to the single process in the same round.

    python benchmarks/workers.py [--rounds 7] [--seconds 4] [--workers 1 2] [--docs] 2> /dev/null
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from urllib.error import URLError
from urllib.request import urlopen

from comparing.rounds import Figures, Load, measure
from comparing.variants import Served, classify_payload
from measuring.client_processes import ClientProcesses, client_processes
from measuring.docs_section import replace_section
from measuring.images import photo, tiny
from measuring.machine import describe_machine, machine_line
from measuring.markdown import table
from measuring.process_tree import ProcessTree
from measuring.targets import CLASSIFY, GrpcTarget, OwnConnections
from measuring.window import Window
from serving_process import free_port, serving
from spyglass_server.engine.capacity.processors import usable_cpus
from spyglass_server.engine.models.bundled import bundled_models

_WARM_UP_SECONDS = 1.0
_START_SECONDS = 60.0
_CLIENT_PROCESSES = 2
_MB = 1e6


@dataclass
class _Server:
    """A server, and what it did in each round."""

    workers: int
    address: str
    tree: ProcessTree
    figures: list[Figures]
    resident: int = 0
    proportional: int = 0


def main() -> int:
    """Print the medians of each server for a tiny image and for a photograph."""
    options = _parse()
    conditions = (
        f"{machine_line(describe_machine())}. Medians of {options.rounds} rounds of {options.seconds:g} s, "
        f"{options.callers} callers, each with a connection of its own, on the same cores as the servers. "
        f"All servers have `--concurrency {options.concurrency}`; ratios with the lowest and highest round."
    )
    loads = [
        Load("PNG of 28×28, mnist-convnet", "mnist-convnet", tiny()),
        Load("photograph of 500×375, defects", "defects", photo(500, 375)),
    ]
    with client_processes(_CLIENT_PROCESSES) as clients:
        parts = [f"{load.name}:\n\n{_measure(load, clients, options)}" for load in loads]
    text = "\n\n".join([conditions, *parts])
    print(text)
    if options.docs:
        replace_section("workers", text)
    return 0


def _measure(load: Load, clients: ClientProcesses, options: argparse.Namespace) -> str:
    with ExitStack() as stack:
        servers = [stack.enter_context(_started(workers, options.concurrency)) for workers in options.workers]
        for number in range(options.rounds + 1):
            # No server always follows the same one.
            turn = [*servers[number % len(servers) :], *servers[: number % len(servers)]]
            for server in turn:
                server.tree.resume()
                target = OwnConnections(
                    GrpcTarget(server.address, CLASSIFY, classify_payload(load.model, load.image))
                )
                served = Served(server.tree, target, lambda body: {})
                window = Window.soon(_WARM_UP_SECONDS, options.seconds)
                figures = measure(served, clients, options.callers, window)
                server.resident, server.proportional = (
                    server.tree.resident_bytes(),
                    server.tree.proportional_bytes(),
                )
                server.tree.suspend()
                # The first round warms up.
                if number:
                    server.figures.append(figures)
        return _table(servers)


def _table(servers: list[_Server]) -> str:
    first = servers[0]
    rows = []
    for server in servers:
        rates = [each.per_second for each in server.figures]
        costs = [each.cpu_ms for each in server.figures]
        rows.append(
            [
                "one process" if server.workers == 1 else f"`--workers {server.workers}`",
                f"{statistics.median(rates):.0f}/s",
                _ratio(rates, [each.per_second for each in first.figures]),
                f"{statistics.median(costs):.3f} ms",
                _ratio(costs, [each.cpu_ms for each in first.figures]),
                f"{statistics.median(each.p50_ms for each in server.figures):.1f} and "
                f"{statistics.median(each.p99_ms for each in server.figures):.1f} ms",
                f"{server.resident / _MB:.0f} and {server.proportional / _MB:.0f} MB",
                str(sum(each.failed for each in server.figures)),
            ]
        )
    headings = ["server", "rate", "ratio", "processor time of a request", "ratio", "p50 and p99"]
    return table([*headings, "memory: resident, and with shared pages once", "failed"], rows)


def _ratio(found: list[float], first: list[float]) -> str:
    ratios = [one / other for one, other in zip(found, first, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


@contextmanager
def _started(workers: int, concurrency: int) -> Iterator[_Server]:
    """Start a server with all bundled models, and wait until all its workers serve."""
    port = free_port()
    flags = ["--workers", str(workers), "--concurrency", str(concurrency), "--metrics-port", str(port)]
    bundled = ["--models", str(bundled_models()), "--profile-seconds", "0"]
    with serving("--host", "localhost", *bundled, *flags) as (address, process):
        expected = "ok" if workers == 1 else f"ok: {workers} of {workers} workers serve"
        ends = time.monotonic() + _START_SECONDS
        while _page(port) != expected:
            if time.monotonic() > ends:
                raise RuntimeError(f"{workers} workers did not all serve within {_START_SECONDS:g} s")
            time.sleep(0.1)
        tree = ProcessTree(process.pid)
        tree.suspend()
        try:
            yield _Server(workers, address, tree, [])
        finally:
            # A stopped process does not end when it is told to.
            tree.resume()


def _page(port: int) -> str:
    with suppress(URLError), urlopen(f"http://localhost:{port}/readyz", timeout=10) as response:
        return str(response.read().decode().strip())
    return ""


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cpus = usable_cpus()
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count (default: 7)")
    parser.add_argument("--seconds", type=float, default=4, help="seconds of each load (default: 4)")
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[1, 2], help="worker processes (default: 1 2)"
    )
    parser.add_argument("--callers", type=int, default=24, help="callers (default: 24)")
    parser.add_argument(
        "--concurrency", type=int, default=cpus, help=f"inferences at a time (default: {cpus})"
    )
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/performance.md")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
