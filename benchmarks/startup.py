"""Measure start-up times and memory.

Prints the time from a server's start to SERVING, the time of `classify-image` without a server, and the
server's resident memory after 1,000 requests.

    python benchmarks/startup.py [--runs 7]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from serving_process import serving
from spyglass_client import Client
from spyglass_server.engine.models.bundled import bundled_models

IMAGE = Path(__file__).resolve().parents[1] / "examples/chelsea.jpg"
REQUESTS = 1000


def main() -> None:
    """Print the median and the range of each measurement."""
    parser = argparse.ArgumentParser(description="Measure start-up times and memory.")
    parser.add_argument("--runs", type=int, default=7, help="number of runs of each measurement (default: 7)")
    runs = parser.parse_args().runs
    _print("server, start to SERVING with all bundled models", [_server_start() for _ in range(runs)])
    _print("classify-image without a server, start to end", [_one_image() for _ in range(runs)])
    print(f"server's resident memory after {REQUESTS:,} requests: {_resident_megabytes():.0f} MB")


def _server_start() -> float:
    started = time.perf_counter()
    with serving("--models", str(bundled_models())):
        return time.perf_counter() - started


def _one_image() -> float:
    command = [
        sys.executable,
        "-c",
        "from spyglass_cli.commands.classify_image import main; main()",
        str(IMAGE),
    ]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def _resident_megabytes() -> float:
    with serving("--models", str(bundled_models())) as (address, server), Client(address) as client:
        for _ in client.classify_many([IMAGE] * REQUESTS):
            pass
        return server.memory_info().rss / 1e6


def _print(what: str, seconds: list[float]) -> None:
    print(f"{what}: {statistics.median(seconds):.2f} s (from {min(seconds):.2f} to {max(seconds):.2f})")


if __name__ == "__main__":
    main()
