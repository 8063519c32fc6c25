"""Measure how connections spread over worker processes, and what hedged requests do to late responses.

Connections: a server with two worker processes on one port, and clients with 1 to 16 connections; the kernel
gives each connection to one of the processes. Hedging: two servers, one of which takes 300 ms in place of
10 ms for a tenth of its requests.

    python benchmarks/client_balance.py [--clients 24] [--calls 4000] [--docs] 2> /dev/null
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psutil

from balancing.sometimes_slow import sometimes_slow
from measuring.docs_section import replace_section
from measuring.images import tiny
from measuring.machine import describe_machine, machine_line
from measuring.markdown import table
from serving_process import serving
from spyglass_client import Balance, Client, Hedging
from spyglass_server.engine.models.bundled import bundled_models

_CONNECTIONS = (1, 2, 4, 8, 16)
_WORKERS = 2
_SLOW_PARTS = (0.1, 0.0)
_HEDGING = (None, Hedging(0.05), Hedging(0.02))
_CALLERS = 4


def main() -> int:
    """Print two tables."""
    options = _parse()
    text = "\n\n".join(
        [
            f"{machine_line(describe_machine())}.",
            f"{options.clients} clients for each number of connections, {_WORKERS} worker processes:",
            _spread(options.clients),
            f"{options.calls} calls, {_CALLERS} at a time:",
            _late_responses(options.calls),
        ]
    )
    print(text)
    if options.docs:
        replace_section("client balance", text)
    return 0


def _spread(clients: int) -> str:
    flags = ("--models", str(bundled_models()), "--profile-seconds", "0", "--access-log", "false")
    rows = []
    with serving(*flags, "--workers", str(_WORKERS), "--host", "127.0.0.1") as (address, process):
        port = int(address.rpartition(":")[2])
        for connections in _CONNECTIONS:
            shares = [_largest_share(port, process, connections) for _ in range(clients)]
            both = sum(share < 1 for share in shares)
            rows.append(
                [
                    str(connections),
                    f"{both} of {clients}",
                    f"{statistics.median(shares):.0%}",
                    f"{max(shares):.0%}",
                ]
            )
    return table(
        [
            "connections",
            "clients that reach both processes",
            "share of the busier process, median",
            "largest",
        ],
        rows,
    )


def _largest_share(port: int, process: psutil.Process, connections: int) -> float:
    """Return the part of a client's connections, and so of its calls, that one worker process has."""
    with Client(f"127.0.0.1:{port}", balance=Balance(connections=connections)) as client:
        own: set[int] = set()
        while len(own) < connections:
            client.classify(tiny(), model="mnist-convnet")
            own = {
                each.laddr.port
                for each in psutil.Process().net_connections("tcp")
                if each.raddr and each.raddr.port == port and each.status == psutil.CONN_ESTABLISHED
            }
        counts = Counter(
            worker.pid
            for worker in process.children(recursive=True)
            for each in worker.net_connections("tcp")
            if each.raddr and each.laddr.port == port and each.raddr.port in own
        )
    return max(counts.values()) / sum(counts.values())


def _late_responses(calls: int) -> str:
    rows = []
    for hedging in _HEDGING:
        with sometimes_slow(_SLOW_PARTS) as servers:
            addresses = [server.address for server in servers]
            with Client(addresses, hedging=hedging) as client, ThreadPoolExecutor(_CALLERS) as pool:
                list(pool.map(client.classify, [b"image"] * 100))
                before = sum(server.begun.value for server in servers)
                times = sorted(pool.map(lambda _: _milliseconds(client), range(calls)))
                sent = sum(server.begun.value for server in servers) - before
        percentiles = statistics.quantiles(times, n=1000)
        rows.append(
            [
                "none" if hedging is None else f"`Hedging({hedging.delay:g})`",
                *(f"{percentiles[index]:.0f} ms" for index in (499, 949, 989, 998)),
                f"{(sent - calls) / calls:.1%}",
            ]
        )
    return table(["hedging", "median", "95 %", "99 %", "99.9 %", "more requests"], rows)


def _milliseconds(client: Client) -> float:
    started = time.perf_counter()
    client.classify(b"image")
    return (time.perf_counter() - started) * 1000


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--docs", action="store_true", help="write the section of docs/performance.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
