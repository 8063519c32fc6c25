"""Measure the cost of a request to a server, compared with decode + resize + inference alone.

The first figure is the processor time that a server process spends on one request under concurrent load. The
second is that of decode + resize + inference alone, in one process with a thread for each core. Each round
measures both in turn. Their ratio is the overhead of the server.

    python benchmarks/server_cost.py [--model imagenet] [--requests 400] [--concurrency 8] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import psutil

from measuring.images import photo
from serving_process import serving
from spyglass_client import Client
from spyglass_contract.images.pixels import prepare
from spyglass_server.engine.capacity.processors import usable_cpus
from spyglass_server.engine.models.bundled import bundled_models
from spyglass_server.engine.models.session import Session


class Cost(NamedTuple):
    """Milliseconds per request: processor time, and wall time of all requests divided by their number."""

    cpu_ms: float
    wall_ms: float


def main() -> int:
    """Print a line for each round, and the medians."""
    options = _parse()
    image = photo(500, 375)
    in_process = InProcess(options.model)
    print(f"{platform.machine()}, {usable_cpus()} cores, Python {platform.python_version()}")
    print(f"{options.model}, a JPEG of 500×375 ({len(image):,} bytes), concurrency {options.concurrency}")
    with serving("--models", str(bundled_models())) as (address, server):
        rounds = []
        for number in range(options.rounds + 1):
            alone = in_process.cost(image, options.requests)
            served = server_cost(address, server, image, options)
            # The first round warms up caches and connections.
            if number:
                rounds.append((served, alone))
                print(
                    f"  round {number}: server {served.cpu_ms:.2f} ms CPU, {served.wall_ms:.2f} ms wall; "
                    f"in process {alone.cpu_ms:.2f} ms CPU, {alone.wall_ms:.2f} ms wall; "
                    f"ratio {served.cpu_ms / alone.cpu_ms:.3f}"
                )
        resident = server.memory_info().rss / 1e6
    _summary(rounds, resident)
    return 0


class InProcess:
    """Decode, resize and inference alone, on as many threads as there are cores."""

    def __init__(self, model: str) -> None:
        path = max((bundled_models() / model).glob("*/model.onnx"), key=lambda path: int(path.parent.name))
        self._session = Session(path, device="cpu", threads=1)
        self._pool = ThreadPoolExecutor(usable_cpus())

    def cost(self, image: bytes, count: int) -> Cost:
        def classify(_: int) -> None:
            pixels = prepare(image, self._session.card.input).pixels
            self._session.run(pixels[np.newaxis])

        started, cpu = time.perf_counter(), time.process_time()
        list(self._pool.map(classify, range(count)))
        return Cost((time.process_time() - cpu) / count * 1e3, (time.perf_counter() - started) / count * 1e3)


def server_cost(address: str, server: psutil.Process, image: bytes, options: argparse.Namespace) -> Cost:
    """Return the cost of `options.requests` requests, `options.concurrency` of them at a time."""
    with Client(address) as client, ThreadPoolExecutor(options.concurrency) as callers:
        warm_up = [callers.submit(client.classify, image, model=options.model) for _ in range(8)]
        for future in warm_up:
            future.result()
        started, cpu = time.perf_counter(), _cpu_seconds(server)
        list(callers.map(lambda _: client.classify(image, model=options.model), range(options.requests)))
        wall, spent = time.perf_counter() - started, _cpu_seconds(server) - cpu
    return Cost(spent / options.requests * 1e3, wall / options.requests * 1e3)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _summary(rounds: list[tuple[Cost, Cost]], resident: float) -> None:
    served = statistics.median(served.cpu_ms for served, _ in rounds)
    alone = statistics.median(alone.cpu_ms for _, alone in rounds)
    ratios = [served.cpu_ms / alone.cpu_ms for served, alone in rounds]
    print(f"median CPU per request: server {served:.2f} ms, in process {alone:.2f} ms")
    print(f"ratio: {statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f})")
    print(f"server's resident memory afterwards: {resident:.0f} MB")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="imagenet", help="name of a bundled model (default: imagenet)")
    parser.add_argument("--requests", type=int, default=400, help="requests in a round (default: 400)")
    parser.add_argument("--concurrency", type=int, default=8, help="requests at a time (default: 8)")
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds (default: 5)")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.pop("SPYGLASS_SERVER", None)
    sys.exit(main())
