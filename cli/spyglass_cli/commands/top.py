"""`spyglass top`: a live view of what a server does, from its metrics."""

from __future__ import annotations

import argparse
import re
import sys
import time

from spyglass_cli.flags.extras import require
from spyglass_cli.flags.types import positive_seconds
from spyglass_contract.errors import InvalidInput

_PORT = 9100
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "top",
        help="show live what a server does: rate, latency, queue, errors, models",
        description="Show live what a server does, from the port of its metrics (spyglass serve "
        "--metrics-port). Latencies are of the requests of the last interval.",
        epilog="The key q or Ctrl-C ends the view. Without a terminal it is printed once, as with --once.",
    )
    parser.add_argument(
        "host",
        nargs="?",
        default="localhost",
        metavar="HOST",
        help="host of the server (default: %(default)s)",
    )
    parser.add_argument(
        "--metrics",
        metavar="HOST:PORT",
        help=f"address of the server's metrics (default: port {_PORT} of HOST)",
    )
    parser.add_argument(
        "--interval",
        type=positive_seconds,
        default=2.0,
        metavar="S",
        help="seconds between two views (default: %(default)g)",
    )
    parser.add_argument(
        "--once", action="store_true", help="print the view of one interval, and end: for scripts"
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the view. Raises MetricsError if there are no metrics at the start, and InvalidInput."""
    require("top", "prometheus_client")
    from rich.console import Console

    from spyglass_cli.output.top_screen import screen
    from spyglass_cli.watching.changes import Changes
    from spyglass_cli.watching.snapshot import fetch

    address = arguments.metrics or _metrics_of(arguments.host)
    if not _ADDRESS.fullmatch(address):
        expected = (
            "--metrics must be HOST:PORT" if arguments.metrics else "HOST must be a name or an IP address"
        )
        raise InvalidInput(f"{expected}, not {arguments.metrics or arguments.host!r}", field="metrics")
    before = fetch(address)
    if arguments.once or not sys.stdout.isatty():
        time.sleep(arguments.interval)
        console = Console(width=None if sys.stdout.isatty() else 100)
        console.print(screen(Changes(before, fetch(address)), address))
        return 0
    _watch(address, arguments.interval)
    return 0


def _watch(address: str, interval: float) -> None:
    from rich.live import Live

    from spyglass_cli.output.top_screen import screen
    from spyglass_cli.watching.keys import quit_within, single_keys
    from spyglass_cli.watching.watch import Watch

    watch = Watch(address)
    with single_keys(), Live(screen(watch.changes, address), screen=True, auto_refresh=False) as live:
        # The first interval is short, so that the view is soon there.
        wait = min(interval, 0.5)
        while not quit_within(wait):
            watch.refresh()
            live.update(screen(watch.changes, address, watch.problem), refresh=True)
            wait = interval


def _metrics_of(host: str) -> str:
    """Return the address of the metrics of a server; a port of HOST is that of gRPC."""
    if host.startswith("["):
        return f"{host.partition(']')[0]}]:{_PORT}"
    name, _, port = host.rpartition(":")
    if ":" in name:
        return f"[{host}]:{_PORT}"
    return f"{name if port.isdecimal() and name else host}:{_PORT}"
