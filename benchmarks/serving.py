"""Compare the costs of a request to Spyglass, to the plainest server of the same work, and to other servers.

All serve the same file, and decode by the same function: a 60-line grpcio thread server, LitServe, MLServer
and mosec, each without and with batches, and no server at all (the limit). Every round measures each server
in turn, in changing order, while the others are stopped, so that what else the machine does meets all. A
round sends photographs of 500×375 to a real network, and tiny images to a tiny network. The figures are
medians of the rounds.

    python benchmarks/competitors/install.py
    python benchmarks/serving.py [--rounds 5] [--seconds 2] [--concurrency 1 8] [--json FILE] [--docs]

Processor times count all processes of a server. The clients use the same cores: their time is in the table.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from comparing.report import write_report
from comparing.results import LIMIT, LIMITS, Measured, Results
from comparing.rounds import Figures, Load, Running, largest_difference, measure
from comparing.variants import Variant, in_process, other, plain, spyglass
from competitors.environments import VERSIONS
from measuring.client_processes import ClientProcesses, client_processes
from measuring.images import photo, tiny
from measuring.machine import describe_machine, machine_line
from measuring.window import Window

_WARM_UP = 0.3


def main() -> int:
    """Measure, or read the figures of an earlier run, and report."""
    options = _parse()
    results = Results.read(options.results) if options.results else _measured(options)
    if options.json:
        options.json.write_text(json.dumps(asdict(results), indent=1) + "\n")
    write_report(results, docs=options.docs, plot=options.plot)
    return 0


def _measured(options: argparse.Namespace) -> Results:
    variants = _variants(options)
    machine = describe_machine()
    print(machine_line(machine))
    results = Results(machine, {each.name: each.versions for each in variants}, _conditions(options))
    loads = [
        Load("photograph", options.model, photo(500, 375)),
        Load("tiny", options.tiny_model, tiny()),
    ]
    with client_processes(options.processes) as clients:
        for load in loads:
            if load.name in options.loads:
                with ExitStack() as servers:
                    _run(Running(servers, variants, load), variants, clients, options, results)
    return results


def _run(
    running: Running,
    variants: list[Variant],
    clients: ClientProcesses,
    options: argparse.Namespace,
    results: Results,
) -> None:
    """Measure every server with one load."""
    names = [variant.name for variant in variants]
    expected = running.scores(LIMIT)
    assert expected is not None
    for name in names:
        difference = largest_difference(expected, running.scores(name))
        results.differences.append((running.load.name, name, difference))
    for number in range(options.rounds + 1):
        for concurrency in options.concurrency:
            # No server always follows the same one.
            turn = names[number % len(names) :] + names[: number % len(names)]
            for name in turn if number % 2 else reversed(turn):
                with running.awake(name) as served:
                    figures = measure(served, clients, concurrency, Window.soon(_WARM_UP, options.seconds))
                # The first round warms up.
                if number:
                    results.measured.append(Measured(running.load.name, concurrency, name, figures))
                    print(_line(number, running.load.name, concurrency, name, figures), flush=True)


def _line(number: int, load: str, concurrency: int, name: str, figures: Figures) -> str:
    failed = f", {figures.failed} failed" if figures.failed else ""
    return (
        f"round {number}, {load}, {concurrency:2} callers, {name:20} {figures.cpu_ms:7.3f} ms CPU, "
        f"{figures.per_second:7.1f}/s, p50 {figures.p50_ms:.2f} ms, p99 {figures.p99_ms:.2f} ms{failed}"
    )


def _variants(options: argparse.Namespace) -> list[Variant]:
    """Return the servers to measure; say which are not installed."""
    ours = [name_and_flags.partition("=") for name_and_flags in options.spyglass]
    variants = [in_process(LIMIT), in_process(LIMITS[1], processes=True), plain()]
    variants += [spyglass(name, flags.split()) for name, _, flags in ours]
    variants += [spyglass(f"{name}, streamed", flags.split(), streamed=True) for name, _, flags in ours]
    for name in VERSIONS:
        for batch in (False, True):
            variant = other(name, batch=batch)
            if variant is not None:
                variants.append(variant)
            elif not batch:
                print(f"{name} is not installed: run benchmarks/competitors/install.py", file=sys.stderr)
    if options.servers:
        kept = {LIMIT, *options.servers}
        variants = [each for each in variants if each.name in kept]
    return variants


def _conditions(options: argparse.Namespace) -> dict[str, object]:
    """Return the options that the figures depend on."""
    names = ("rounds", "seconds", "concurrency", "processes", "model", "tiny_model", "spyglass")
    return {name: getattr(options, name) for name in names}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="defects", help="bundled model of the photographs")
    parser.add_argument("--tiny-model", default="mnist-convnet", help="bundled model of the tiny images")
    parser.add_argument("--loads", nargs="+", choices=("photograph", "tiny"), default=["photograph", "tiny"])
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default: 5)")
    parser.add_argument("--seconds", type=float, default=2, help="seconds of each load (default: 2)")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8], help="callers (default: 1 8)")
    parser.add_argument("--processes", type=int, default=2, help="client processes (default: 2)")
    parser.add_argument(
        "--spyglass",
        action="append",
        metavar="NAME=FLAGS",
        help="flags of `spyglass serve` to measure; may be repeated (default: spyglass= and "
        "'spyglass, batches=--max-batch 8')",
    )
    parser.add_argument("--servers", nargs="+", metavar="NAME", help="measure only these (default: all)")
    parser.add_argument("--json", type=Path, help="file for the figures of every round")
    parser.add_argument("--results", type=Path, help="read the figures of --json instead of measuring")
    parser.add_argument("--plot", type=Path, help="file for a plot of latency over throughput, SVG or PNG")
    parser.add_argument("--docs", action="store_true", help="write tables and plot into docs/performance.md")
    options = parser.parse_args()
    options.spyglass = options.spyglass or ["spyglass=", "spyglass, batches=--max-batch 8"]
    return options


if __name__ == "__main__":
    os.environ.pop("SPYGLASS_SERVER", None)
    # The servers that are stopped must run again, so that they can end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    sys.exit(main())
