"""Measure how much one caller feels of another one's load.

A caller sends one request after the other, alone and then beside a load: another caller with 1,000 calls
outstanding, a load of another model, one of bulk priority (metadata `x-priority: bulk`), or a stream with
1,000 images ahead. Each round measures both in turn; the figures are medians of the rounds. The aim is a p99
of at most 3 times the p99 alone plus one batch of the load, whose time is the median of a lone request of it.

A second table shows that bulk priority does not starve: a bulk load beside as many interactive callers.

    python benchmarks/fairness.py [--rounds 3] [--seconds 10] [--json FILE] [--docs] [-- FLAGS of serve]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from measuring.calls import Calls
from measuring.client_processes import ClientProcesses, client_processes
from measuring.closed_loop import run_closed_loop
from measuring.docs_section import replace_section
from measuring.machine import describe_machine, machine_line
from measuring.markdown import table
from measuring.outcomes import OK
from measuring.stream_loop import StreamTarget, run_stream
from measuring.window import Window
from overloading.flood import Flood, run_flood
from overloading.scenarios import BULK, Scenario, scenarios
from serving_process import serving
from spyglass_server.engine.models.bundled import bundled_models

_WARM_UP = 2.0
_ALLOWED = 3.0


@dataclass(frozen=True)
class Beside:
    """A scenario; times in milliseconds. `batch_ms` is a lone request of the load."""

    name: str
    alone_p50_ms: float
    alone_p99_ms: float
    beside_p50_ms: float
    beside_p99_ms: float
    batch_ms: float
    failed: int
    load_per_second: float

    @property
    def limit_ms(self) -> float:
        """The p99 that the aim allows."""
        return _ALLOWED * self.alone_p99_ms + self.batch_ms


def main() -> int:
    """Print a row for each scenario; return 1 if an aim is not met."""
    options = _parse()
    conditions = (
        f"{machine_line(describe_machine())}. Medians of {options.rounds} rounds of {options.seconds:g} s."
    )
    print(conditions)
    with (
        client_processes(2) as clients,
        serving("--models", str(bundled_models()), *options.flags) as (address, _),
    ):
        every = scenarios(address, options.model, options.tiny_model)
        found = [_measure(each, clients, options) for each in every if options.only in each.name]
        bulk = _bulk_share(every[0].flood, clients, options.seconds)
    text = f"{conditions}\n\n{_table(found)}\n\n{_bulk_sentence(bulk)}"
    print(text)
    if options.json:
        values = {"scenarios": [asdict(each) for each in found], "bulk_and_interactive_per_second": bulk}
        options.json.write_text(json.dumps(values, indent=1) + "\n")
    if options.docs:
        replace_section("fairness", text)
    return 0 if all(each.beside_p99_ms <= each.limit_ms and not each.failed for each in found) else 1


def _measure(scenario: Scenario, clients: ClientProcesses, options: argparse.Namespace) -> Beside:
    alone, beside, loads, batches = [], [], [], []
    for _ in range(options.rounds):
        alone.append(_victim(scenario, clients, options.seconds))
        window = Window.soon(_WARM_UP, 2.0)
        (lone,) = clients.start(run_closed_loop, [(scenario.lone_load, 1, window)])
        batches.append(lone.result().milliseconds(50))
        window = Window.soon(_WARM_UP, options.seconds)
        (load,) = clients.start(scenario.run_flood, [(scenario.flood, window)])
        beside.append(_victim(scenario, clients, options.seconds, window))
        loads.append(load.result()[OK] / options.seconds)
        print(
            f"{scenario.name}: p99 {alone[-1].milliseconds(99):.1f} ms alone, "
            f"{beside[-1].milliseconds(99):.1f} ms beside {loads[-1]:,.0f}/s",
            flush=True,
        )
    return Beside(
        scenario.name,
        statistics.median(each.milliseconds(50) for each in alone),
        statistics.median(each.milliseconds(99) for each in alone),
        statistics.median(each.milliseconds(50) for each in beside),
        statistics.median(each.milliseconds(99) for each in beside),
        statistics.median(batches),
        sum(sum(each.failures.values()) for each in (*alone, *beside)),
        statistics.median(loads),
    )


def _victim(
    scenario: Scenario, clients: ClientProcesses, seconds: float, window: Window | None = None
) -> Calls:
    window = window or Window.soon(_WARM_UP, seconds)
    run = run_stream if isinstance(scenario.victim, StreamTarget) else run_closed_loop
    (started,) = clients.start(run, [(scenario.victim, 1, window)])
    return started.result()


def _bulk_share(flood: Flood, clients: ClientProcesses, seconds: float) -> tuple[float, float]:
    """Return the results a second of a bulk load and of an interactive one beside each other."""
    window = Window.soon(_WARM_UP, seconds)
    bulk = Flood(flood.target, flood.outstanding, metadata=BULK)
    loads = clients.start(run_flood, [(bulk, window), (flood, window)])
    first, second = (load.result()[OK] / seconds for load in loads)
    return first, second


def _table(found: list[Beside]) -> str:
    headings = (
        "",
        "p50 alone",
        "p99 alone",
        "p50 beside",
        "p99 beside",
        "ratio",
        "allowed",
        "load's results/s",
    )
    rows = [
        [
            each.name,
            *map(_ms, (each.alone_p50_ms, each.alone_p99_ms, each.beside_p50_ms, each.beside_p99_ms)),
            f"{each.beside_p99_ms / each.alone_p99_ms:.1f}",
            f"{each.limit_ms:.1f} ms, {_verdict(each)}",
            f"{each.load_per_second:,.0f}",
        ]
        for each in found
    ]
    return table(headings, rows)


def _ms(value: float) -> str:
    return "no result" if math.isnan(value) else f"{value:.1f} ms"


def _verdict(each: Beside) -> str:
    if each.failed:
        return f"**{each.failed} calls failed**"
    return "met" if each.beside_p99_ms <= each.limit_ms else "**not met**"


def _bulk_sentence(bulk: tuple[float, float]) -> str:
    share = bulk[0] / max(sum(bulk), 1e-9)
    return (
        f"1,000 calls of bulk priority beside 1,000 interactive ones: {bulk[0]:,.1f} and {bulk[1]:,.1f} "
        f"results a second, so bulk had {share:.0%}."
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="defects", help="bundled model of the photographs")
    parser.add_argument("--tiny-model", default="mnist-convnet", help="bundled model of the tiny images")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each scenario (default: 3)")
    parser.add_argument("--seconds", type=float, default=10, help="seconds of each load (default: 10)")
    parser.add_argument("--only", default="", metavar="TEXT", help="measure scenarios with this in the name")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/performance.md")
    parser.add_argument("flags", nargs="*", metavar="FLAG", help="flags of `spyglass serve`, after --")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.pop("SPYGLASS_SERVER", None)
    sys.exit(main())
