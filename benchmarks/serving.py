"""Compare the costs of a request to Spyglass and to the plainest server of the same work.

The costs are processor time and throughput. Both servers run all the time, and each round loads them by
turns, so that what else the machine does meets both. A round sends photographs of 500×375 to a real network,
tiny images to a tiny network, and the tiny images again in one stream, which the plain server does not have.
The figures are medians of the rounds.

    python benchmarks/serving.py [--rounds 5] [--seconds 3] [--concurrency 8] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
import psutil

from server_cost import photo
from serving_process import free_port, serving
from spyglass_client import Client
from spyglass_server.engine.capacity.processors import usable_cpus
from spyglass_server.engine.models.bundled import bundled_models

PLAIN = Path(__file__).with_name("plain_server.py")
START_SECONDS = 60


@dataclass(frozen=True)
class Load:
    """Requests of one kind: `image` to `model`, in one stream if `streamed`."""

    name: str
    model: str
    image: bytes
    streamed: bool = False


@dataclass(frozen=True)
class Figures:
    """One round: the server's processor time for each request in milliseconds, and requests a second."""

    cpu_ms: float
    per_second: float


def main() -> int:
    """Print a line for each load and server."""
    options = _parse()
    loads = [
        Load("photograph", options.model, photo(500, 375)),
        Load("tiny", options.tiny_model, tiny()),
        Load("tiny, streamed", options.tiny_model, tiny(), streamed=True),
    ]
    print(f"{platform.machine()}, {usable_cpus()} cores, {_flags()}, Python {platform.python_version()}")
    rounds: dict[tuple[str, str], list[Figures]] = {}
    with ExitStack() as stack:
        spyglass = stack.enter_context(serving("--models", str(bundled_models())))
        plain = {model: stack.enter_context(_plain(model)) for model in (options.model, options.tiny_model)}
        for number in range(options.rounds + 1):
            for load in loads:
                servers = {"spyglass": spyglass}
                if not load.streamed:
                    servers["plain"] = plain[load.model]
                # The order changes, so that neither server always follows the other.
                for name in sorted(servers, reverse=bool(number % 2)):
                    figures = measure(*servers[name], load, options)
                    # The first round warms up.
                    if number:
                        rounds.setdefault((load.name, name), []).append(figures)
    _report(rounds)
    if options.json:
        kept = [
            {"load": load, "server": server, "rounds": list(map(asdict, each))}
            for (load, server), each in rounds.items()
        ]
        options.json.write_text(json.dumps(kept, indent=2) + "\n")
    return 0


def measure(address: str, server: psutil.Process, load: Load, options: argparse.Namespace) -> Figures:
    """Load a server for `options.seconds`, with `options.concurrency` requests at a time."""
    with Client(address) as client:
        client.classify(load.image, model=load.model)
        run = _streamed if load.streamed else _unary
        started, cpu = time.perf_counter(), _cpu_seconds(server)
        count = run(client, load, options.concurrency, started + options.seconds)
        wall, spent = time.perf_counter() - started, _cpu_seconds(server) - cpu
    return Figures(spent / count * 1e3, count / wall)


def _unary(client: Client, load: Load, concurrency: int, end: float) -> int:
    counts = [0] * concurrency

    def call(caller: int) -> None:
        while time.perf_counter() < end:
            client.classify(load.image, model=load.model)
            counts[caller] += 1

    callers = [threading.Thread(target=call, args=(caller,)) for caller in range(concurrency)]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    return sum(counts)


def _streamed(client: Client, load: Load, concurrency: int, end: float) -> int:
    def images() -> Iterator[bytes]:
        while time.perf_counter() < end:
            yield load.image

    return sum(1 for _ in client.classify_many(images(), model=load.model, window=4 * concurrency))


@contextmanager
def _plain(model: str) -> Iterator[tuple[str, psutil.Process]]:
    """Start the plain server of one model."""
    files = (bundled_models() / model).glob("*/model.onnx")
    path = max(files, key=lambda path: int(path.parent.name))
    port = free_port()
    with subprocess.Popen(
        [sys.executable, str(PLAIN), str(port), str(path)], stdout=subprocess.DEVNULL
    ) as process:
        try:
            with grpc.insecure_channel(f"localhost:{port}") as channel:
                grpc.channel_ready_future(channel).result(START_SECONDS)
            yield f"localhost:{port}", psutil.Process(process.pid)
        finally:
            process.terminate()


def tiny() -> bytes:
    """Return a PNG of a digit, 28×28."""
    import io

    import numpy as np
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _flags() -> str:
    known = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return " ".join(flag for flag in known if f" {flag}" in text) or "no known flags"


def _report(rounds: dict[tuple[str, str], list[Figures]]) -> None:
    median: Callable[[list[float]], float] = statistics.median
    for (load, server), figures in rounds.items():
        cpu = [each.cpu_ms for each in figures]
        rate = median([each.per_second for each in figures])
        line = f"{load:15} {server:9} {median(cpu):7.3f} ms CPU ({min(cpu):.3f} to {max(cpu):.3f})"
        line += f", {rate:7.1f}/s"
        plain = rounds.get((load, "plain"))
        if server == "spyglass" and plain:
            ratios = [ours.cpu_ms / theirs.cpu_ms for ours, theirs in zip(figures, plain, strict=True)]
            line += f", ratio {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        print(line)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="defects", help="bundled model of the photographs")
    parser.add_argument("--tiny-model", default="mnist-convnet", help="bundled model of the tiny images")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default: 5)")
    parser.add_argument("--seconds", type=float, default=3, help="seconds of each load (default: 3)")
    parser.add_argument("--concurrency", type=int, default=8, help="requests at a time (default: 8)")
    parser.add_argument("--json", type=Path, help="file for the figures of every round")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.pop("SPYGLASS_SERVER", None)
    sys.exit(main())
