"""Swap three models 50 times under load: failed calls, latencies and memory.

A classifier, a classifier with heatmaps and a segmentation model get a new version at each swap, and the
server loads them beside those that serve. Meanwhile clients classify, explain and segment, each with pauses,
so that the processors have time left. The aims: no failed call, responses only of the versions that may
answer, the 99th percentile of the latency during swaps at most twice that before, and at most 5 % more memory
after the last tenth of the swaps than after the second.

    python benchmarks/swaps.py [--swaps 50] [--docs] [-- FLAGS of serve]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from measuring.docs_section import IMAGES, replace_section
from measuring.machine import describe_machine, machine_line
from measuring.markdown import table
from measuring.plots import figure, save
from serving_process import serving
from spyglass_client import Client, SpyglassError, Timeout
from spyglass_contract.model.card import card_from_metadata, write_card
from spyglass_server.engine.models.bundled import bundled_models

IMAGE = Path(__file__).resolve().parents[1] / "examples/chelsea.jpg"
MODELS = ("imagenet", "defects", "foreground")
_PLOT = "swaps.svg"
_ALLOWED_MEMORY, _ALLOWED_LATENCY = 1.05, 2.0


@dataclass
class Repository:
    """A folder of models whose versions differ in nothing but their number."""

    root: Path
    files: dict[str, Any]

    def add(self, version: int) -> None:
        """Add a version of each model, in one step each."""
        import onnx

        for name, model in self.files.items():
            card = card_from_metadata({entry.key: entry.value for entry in model.metadata_props})
            card.version = version
            write_card(model, card)
            written = self.root / f".{name}-{version}"
            written.mkdir()
            onnx.save(model, str(written / "model.onnx"))
            (self.root / name).mkdir(exist_ok=True)
            written.rename(self.root / name / str(version))

    def delete(self, version: int) -> None:
        """Delete a version of each model."""
        for name in self.files:
            shutil.rmtree(self.root / name / str(version))


@dataclass
class Clients:
    """Threads that send one kind of request each, and what became of the requests."""

    address: str
    pause: float
    # The versions that may answer a request that starts now.
    oldest: int = 1
    newest: int = 1
    # Of each kind: the start and the end of each request, on the monotonic clock.
    times: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin to send."""
        kinds: dict[str, Callable[[Client], Any]] = {
            "classify": lambda client: client.classify(IMAGE, model="imagenet"),
            "heatmap": lambda client: client.heatmap(IMAGE, model="defects"),
            "segment": lambda client: client.segment(IMAGE, model="foreground"),
        }
        for kind, ask in kinds.items():
            self.times[kind] = []
            self._threads.append(threading.Thread(target=self._send, args=(kind, ask)))
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Stop sending."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def p99(self, kind: str, spans: list[tuple[float, float]]) -> tuple[int, float, float]:
        """Return number, median and 99th percentile of the ms of the requests that overlap the spans."""
        taken = [
            (end - begin) * 1000
            for begin, end in self.times[kind]
            if any(begin < last and end > first for first, last in spans)
        ]
        return len(taken), float(np.median(taken)), float(np.percentile(taken, 99))

    def _send(self, kind: str, ask: Callable[[Client], Any]) -> None:
        with Client(self.address, timeout=Timeout(call=60)) as client:
            while not self._ended.is_set():
                oldest, begin = self.oldest, time.monotonic()
                try:
                    version = ask(client).model.version
                except SpyglassError as error:
                    self.failures.append(f"{kind}: {error.reason}: {error.message}")
                else:
                    self.times[kind].append((begin, time.monotonic()))
                    if not oldest <= version <= self.newest:
                        self.failures.append(f"{kind}: version {version} answered")
                self._ended.wait(self.pause)


def main() -> int:
    """Print the results; return 1 if a call failed or an aim was missed."""
    options = _parse()
    with tempfile.TemporaryDirectory() as folder:
        repository = Repository(Path(folder), {name: _bundled(name) for name in MODELS})
        repository.add(1)
        flags = ("--models", folder, "--admin", *options.flags)
        with serving(*flags, log_level="error") as (address, server):
            clients = Clients(address, options.pause)
            clients.start()
            try:
                time.sleep(options.warm_seconds)
                before = time.monotonic()
                time.sleep(options.steady_seconds)
                steady = [(before, time.monotonic())]
                memory, swaps = _swap(repository, clients, server, options.swaps, options.rest)
            finally:
                clients.end()
    text, met = _report(options, clients, steady, swaps, memory)
    print(text)
    if options.docs:
        _save_plot(memory, IMAGES / _PLOT)
        replace_section("swaps", f"{text}\n\n![resident memory after each swap](images/{_PLOT})")
    return 0 if met else 1


def _swap(
    repository: Repository, clients: Clients, server: psutil.Process, count: int, rest: float
) -> tuple[list[float], list[tuple[float, float]]]:
    """Return the megabytes after each swap, the first before any, and when each swap began and ended."""
    memory, swaps = [server.memory_info().rss / 1e6], []
    with Client(clients.address, timeout=Timeout(call=600)) as client:
        for version in range(2, count + 2):
            repository.add(version)
            begin, clients.newest = time.monotonic(), version
            client.admin.reload()
            clients.oldest = version
            swaps.append((begin, time.monotonic()))
            repository.delete(version - 1)
            while any(status.state != "serving" for status in client.admin.versions().versions):
                time.sleep(0.05)
            time.sleep(rest)
            memory.append(server.memory_info().rss / 1e6)
            print(f"{version - 1} swaps, {memory[-1]:.0f} MB, {len(clients.failures)} failures", flush=True)
    return memory, swaps


def _report(
    options: argparse.Namespace,
    clients: Clients,
    steady: list[tuple[float, float]],
    swaps: list[tuple[float, float]],
    memory: list[float],
) -> tuple[str, bool]:
    rows, ratios = [], []
    for kind in clients.times:
        sent, median, p99 = clients.p99(kind, steady)
        swapped, swap_median, swap_p99 = clients.p99(kind, swaps)
        ratios.append(swap_p99 / p99)
        cells = (f"{median:.1f}", f"{p99:.1f}", f"{swap_median:.1f}", f"{swap_p99:.1f}", f"{ratios[-1]:.2f}")
        rows.append([kind, f"{sent:,}", f"{swapped:,}", *cells])
    tenth = max(1, options.swaps // 10)
    first = statistics.median(memory[tenth + 1 : 2 * tenth + 1] or memory[:1])
    last = statistics.median(memory[-tenth:])
    flat, quick = last <= _ALLOWED_MEMORY * first, max(ratios) <= _ALLOWED_LATENCY
    seconds = [end - begin for begin, end in swaps]
    sent = sum(map(len, clients.times.values()))
    headings = ("calls", "before", "during swaps", "median before, ms", "p99 before, ms")
    more = ("median during, ms", "p99 during, ms", "ratio of p99")
    lines = (
        f"{machine_line(describe_machine())}. {options.swaps} swaps of three models, each "
        f"{statistics.median(seconds):.2f} s (median, from {min(seconds):.2f} to {max(seconds):.2f}); "
        f"{sent:,} calls, {len(clients.failures)} failed.",
        table((*headings, *more), rows),
        f"The aim for the ratio, at most {_ALLOWED_LATENCY:g}: {_met(quick)}.",
        f"Resident memory: {memory[0]:.0f} MB before the first swap, {first:.0f} MB in the second tenth of "
        f"the swaps, {last:.0f} MB in the last: {_met(flat)}.",
    )
    for failure in clients.failures[:10]:
        print(failure)
    return "\n\n".join(lines), flat and quick and not clients.failures


def _met(met: bool) -> str:
    return "met" if met else "**not met**"


def _bundled(name: str) -> Any:
    import onnx

    (path,) = bundled_models().glob(f"{name}/*/model.onnx")
    return onnx.load(str(path))


def _save_plot(memory: list[float], path: Path) -> None:
    drawing, panels = figure(1, 1, width=8, height=4)
    panel = panels[0, 0]
    panel.plot(range(len(memory)), memory)
    panel.set(xlabel="swaps of three models", ylabel="resident memory, MB")
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.3)
    save(drawing, path)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--swaps", type=int, default=50, help="number of swaps (default: 50)")
    parser.add_argument("--pause", type=float, default=0.1, help="pause of each client, in s (default: 0.1)")
    parser.add_argument("--rest", type=float, default=1.0, help="time after each swap, in s (default: 1)")
    parser.add_argument("--warm-seconds", type=float, default=10, help="load before the measurement, in s")
    parser.add_argument("--steady-seconds", type=float, default=30, help="load without swaps, in s")
    parser.add_argument("--docs", action="store_true", help="write the results into docs/performance.md")
    parser.add_argument("flags", nargs="*", metavar="FLAG", help="flags of `spyglass serve`, after --")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.pop("SPYGLASS_SERVER", None)
    sys.exit(main())
