"""Send three times more requests than a server can answer, and measure what becomes of them.

For photographs of 500×375 and for tiny images: first the capacity, the throughput of a closed loop, before
and after; then an open loop at three times that rate, each call with a deadline of one second. Beside it, 20
health checks a second and the server's memory. Aims: goodput at least 0.9 of the capacity, refusals within
50 ms, no late answer, fewer than 1 % timed out, the p99 of health checks at most 50 ms, flat memory. Then the
same load goes to a server that only refuses: no server in Python can do better at that rate.

    python benchmarks/overload.py [--seconds 60] [--factor 3] [--json FILE] [--docs] [-- FLAGS of serve]

Clients and server share the cores. The report says how much of them the clients used, and whether the clients
were the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import grpc

from comparing.variants import classify_payload
from measuring.calls import Calls
from measuring.client_processes import ClientProcesses, client_processes, shares
from measuring.closed_loop import run_closed_loop
from measuring.docs_section import IMAGES, replace_section
from measuring.images import photo, tiny
from measuring.machine import describe_machine, machine_line
from measuring.memory_curve import memory_curve
from measuring.process_tree import ProcessTree
from measuring.targets import CLASSIFY, GrpcTarget
from measuring.window import Window
from overloading.health import check_health
from overloading.open_loop import OpenCalls, OpenLoop, joined, run_open_loop
from overloading.outcome import Outcome, outcome
from overloading.report import report, save_overloads
from serving_process import free_port, serving
from spyglass_server.engine.models.bundled import bundled_models

REFUSING = Path(__file__).parent / "overloading" / "refusing_server.py"
_REFUSING_START_SECONDS = 30
_PLOT = "overload.svg"
_WARM_UP, _MEMORY_EVERY = 2.0, 0.5


def main() -> int:
    """Print the figures of each load; return 1 if an aim is not met."""
    options = _parse()
    machine = machine_line(describe_machine())
    print(machine)
    # One more process for the health checks.
    with client_processes(options.processes + 1) as clients:
        outcomes = [_overload(name, clients, options) for name in options.loads]
    conditions = f"{machine}. {options.factor:g} times the capacity for {options.seconds:g} s, deadlines of "
    conditions += f"{options.deadline:g} s, {options.processes} client processes on the same cores."
    text = f"{conditions}\n\n{report(outcomes)}"
    print(text)
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in outcomes], indent=1) + "\n")
    if options.plot:
        save_overloads(outcomes, options.plot)
    if options.docs:
        save_overloads(outcomes, IMAGES / _PLOT)
        replace_section("overload", f"{text}\n\n![calls of each second, and memory](images/{_PLOT})")
    return 0 if all(met for each in outcomes for _, _, met in each.aims) else 1


def _overload(name: str, clients: ClientProcesses, options: argparse.Namespace) -> Outcome:
    model, image = {
        "photograph": (options.model, photo(500, 375)),
        "tiny": (options.tiny_model, tiny()),
    }[name]
    with serving("--models", str(bundled_models()), *options.flags) as (address, process):
        target = GrpcTarget(address, CLASSIFY, classify_payload(model, image))
        before = _capacity(target, clients, options)
        window = Window.soon(_WARM_UP, options.seconds)
        with memory_curve(ProcessTree(process.pid), _MEMORY_EVERY) as memory:
            health = clients.start(check_health, [(address, window)])
            started = clients.start(
                run_open_loop,
                [(target, each, window) for each in _parts(options.factor * before, options)],
            )
            calls = joined([each.result() for each in started])
        after = _capacity(target, clients, options)
    floor = _refusals(target, clients, options.factor * before, options)
    print(f"{name}: capacity {before:,.0f}/s before and {after:,.0f}/s after", flush=True)
    return outcome(
        name,
        (before + after) / 2,
        options.deadline,
        window.seconds,
        calls,
        health[0].result(),
        memory,
        floor,
    )


def _refusals(
    target: GrpcTarget, clients: ClientProcesses, rate: float, options: argparse.Namespace
) -> OpenCalls:
    """Send the same load to a server that only refuses."""
    port = free_port()
    with subprocess.Popen([sys.executable, REFUSING, str(port)]) as process:
        try:
            with grpc.insecure_channel(f"localhost:{port}") as channel:
                grpc.channel_ready_future(channel).result(_REFUSING_START_SECONDS)
            refusing = replace(target, address=f"localhost:{port}")
            window = Window.soon(_WARM_UP, min(options.seconds, options.capacity_seconds))
            started = clients.start(
                run_open_loop, [(refusing, each, window) for each in _parts(rate, options)]
            )
            return joined([each.result() for each in started])
        finally:
            process.terminate()


def _parts(rate: float, options: argparse.Namespace) -> list[OpenLoop]:
    count = options.processes
    return [OpenLoop(rate / count, options.deadline, options.channels, seed) for seed in range(count)]


def _capacity(target: GrpcTarget, clients: ClientProcesses, options: argparse.Namespace) -> float:
    """Return the results a second of a closed loop. Raises RuntimeError if a call fails."""
    window = Window.soon(_WARM_UP, options.capacity_seconds)
    parts = [(target, each, window) for each in shares(options.concurrency, options.processes)]
    calls = Calls.joined([each.result() for each in clients.start(run_closed_loop, parts)])
    if calls.failures:
        raise RuntimeError(f"a closed loop of {options.concurrency} callers must not fail: {calls.failures}")
    return len(calls.latencies) / window.seconds


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loads", nargs="+", choices=("photograph", "tiny"), default=["photograph", "tiny"])
    parser.add_argument("--model", default="defects", help="bundled model of the photographs")
    parser.add_argument("--tiny-model", default="mnist-convnet", help="bundled model of the tiny images")
    parser.add_argument("--seconds", type=float, default=60, help="seconds of overload (default: 60)")
    parser.add_argument("--factor", type=float, default=3, help="times the capacity (default: 3)")
    parser.add_argument("--deadline", type=float, default=1, help="deadline of a call, s (default: 1)")
    parser.add_argument("--concurrency", type=int, default=8, help="callers of the closed loop (default: 8)")
    parser.add_argument(
        "--capacity-seconds", type=float, default=10, help="seconds of each closed loop (default: 10)"
    )
    parser.add_argument("--processes", type=int, default=2, help="client processes (default: 2)")
    parser.add_argument(
        "--channels", type=int, default=8, help="connections of each client process (default: 8)"
    )
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--plot", type=Path, help="file for the plot, SVG or PNG")
    parser.add_argument("--docs", action="store_true", help="write tables and plot into docs/performance.md")
    parser.add_argument("flags", nargs="*", metavar="FLAG", help="flags of `spyglass serve`, after --")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.pop("SPYGLASS_SERVER", None)
    sys.exit(main())
