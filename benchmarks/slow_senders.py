"""Measure what slow connections do to a caller: 200 connections send a part of a call, and then nothing.

Each kind of connection is measured beside one caller who sends one request after the other, without and with
the slow connections, which come from the caller's own address. Figures: latency of the caller, its failed
calls, memory of the server, and how many of the slow connections are still open at the end.

The last figure is the most memory of a server that gets 64 requests of 32 MB at a time.

    python benchmarks/slow_senders.py [--connections 200] [--seconds 8] [--json FILE] [--docs] [-- FLAGS]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import trustme

from comparing.variants import classify_payload
from measuring.calls import Calls
from measuring.client_processes import ClientProcesses, client_processes
from measuring.closed_loop import run_closed_loop
from measuring.docs_section import replace_section
from measuring.images import tiny
from measuring.machine import describe_machine, machine_line
from measuring.markdown import table
from measuring.memory_curve import memory_curve
from measuring.process_tree import ProcessTree
from measuring.targets import CLASSIFY, GrpcTarget, Target
from measuring.window import Window
from serving_process import serving
from slow_sending.attacks import ATTACKS, Attack, holding, still_open
from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass_server.engine.models.bundled import bundled_models

_WARM_UP = 2.0
_TIMEOUT = 30.0
# Almost 32 MiB as RGB.
_LARGE_SIDE = 3300
_LARGE_CALLERS = 64
_LARGE_BUDGET_MB = 256


@dataclass(frozen=True)
class Found:
    """The figures of one kind of slow connection; times in milliseconds, memory in MB."""

    name: str
    alone_p50_ms: float
    alone_p99_ms: float
    beside_p50_ms: float
    beside_p99_ms: float
    failed: int
    alone_mb: float
    beside_mb: float
    still_open: int
    # A caller that connects while the slow connections are there.
    new_caller_failed: int


def main() -> int:
    """Print a row for each kind; return 1 if a call of the caller failed."""
    options = _parse()
    conditions = (
        f"{machine_line(describe_machine())}. {options.connections} slow connections, {options.seconds:g} s "
        f"for each figure, one caller of tiny images ({options.model})."
    )
    print(conditions)
    with client_processes(1) as clients:
        found = [_measure(attack, clients, options) for attack in ATTACKS if options.only in attack.name]
        large = "" if options.only else _large(clients, options)
    text = f"{conditions}\n\n{_table(found, options.connections)}\n\n{large}"
    print(text)
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in found], indent=1) + "\n")
    if options.docs:
        replace_section("slow senders", text)
    return 1 if any(each.failed or each.new_caller_failed for each in found) else 0


def _measure(attack: Attack, clients: ClientProcesses, options: argparse.Namespace) -> Found:
    payload = classify_payload(options.model, tiny())
    with _server(attack.tls, options.flags) as (address, pid, ca):
        port = int(address.rpartition(":")[2])
        target = GrpcTarget(address, CLASSIFY, payload, ca=ca)
        tree = ProcessTree(pid)
        alone = _calls(target, clients, options.seconds)
        before = tree.resident_bytes()
        with holding(attack, port, options.connections, payload) as sockets:
            beside = _calls(target, clients, options.seconds)
            after = tree.resident_bytes()
            new = _calls(target, clients, 1.0)
            left = still_open(sockets)
    return Found(
        attack.name,
        alone.milliseconds(50),
        alone.milliseconds(99),
        beside.milliseconds(50),
        beside.milliseconds(99),
        sum(beside.failures.values()),
        before / 1e6,
        after / 1e6,
        left,
        sum(new.failures.values()) + (0 if len(new.latencies) else 1),
    )


def _large(clients: ClientProcesses, options: argparse.Namespace) -> str:
    """Send many requests of almost the longest message at a time; return a sentence of the memory."""
    request = ClassifyRequest()
    request.model.name = "defects"
    raw = request.image.raw
    raw.height = raw.width = _LARGE_SIDE
    raw.channels, raw.data = 3, bytes(3 * _LARGE_SIDE**2)
    budget = _LARGE_BUDGET_MB * 2**20
    flags = ["--max-bytes-in-flight", str(budget), *options.flags]
    with _server(False, flags) as (address, pid, _):
        target, tree = GrpcTarget(address, CLASSIFY, request.SerializeToString()), ProcessTree(pid)
        before = tree.resident_bytes()
        window = Window.soon(_WARM_UP, options.seconds)
        with memory_curve(tree, 0.05) as curve:
            (started,) = clients.start(run_closed_loop, [(target, _LARGE_CALLERS, window)])
            calls = started.result()
    peak = max(megabytes for _, megabytes in curve)
    refused = ", ".join(f"{name} {count}" for name, count in calls.failures.items()) or "none"
    return (
        f"{_LARGE_CALLERS} requests of {len(target.payload) / 1e6:.0f} MB at a time, with "
        f"`max_bytes_in_flight` of {budget / 1e6:.0f} MB: {before / 1e6:.0f} MB before, at most {peak:.0f} "
        f"MB; {len(calls.latencies)} answered, refused: {refused}."
    )


def _calls(target: Target, clients: ClientProcesses, seconds: float) -> Calls:
    """Call from a connection of its own."""
    (started,) = clients.start(run_closed_loop, [(target, 1, Window.soon(_WARM_UP, seconds))])
    return started.result()


@contextmanager
def _server(tls: bool, flags: list[str]) -> Iterator[tuple[str, int, bytes]]:
    """Serve the bundled models; yield the address, the process id, and with TLS the authority in PEM."""
    common = ("--models", str(bundled_models()), "--profile-seconds", "0", *flags)
    if not tls:
        with serving(*common) as (address, process):
            yield address, process.pid, b""
        return
    ca = trustme.CA()
    issued = ca.issue_cert("localhost")
    with tempfile.TemporaryDirectory() as folder:
        certificate, key, authority = (Path(folder) / name for name in ("a.crt", "a.key", "ca.pem"))
        certificate.write_bytes(issued.cert_chain_pems[0].bytes())
        key.write_bytes(issued.private_key_pem.bytes())
        authority.write_bytes(ca.cert_pem.bytes())
        pair = ("--tls-certificate", str(certificate), "--tls-key", str(key), "--host", "localhost")
        with serving(*common, *pair, ca=authority) as (address, process):
            yield address, process.pid, ca.cert_pem.bytes()


def _table(found: list[Found], connections: int) -> str:
    headings = (
        "slow connections with",
        "p50 alone",
        "p99 alone",
        "p50 beside",
        "p99 beside",
        "failed calls",
        "memory alone",
        "memory beside",
        "slow ones still open",
    )
    rows = [
        [
            each.name,
            *(
                f"{value:.2f} ms"
                for value in (each.alone_p50_ms, each.alone_p99_ms, each.beside_p50_ms, each.beside_p99_ms)
            ),
            str(each.failed + each.new_caller_failed),
            f"{each.alone_mb:.0f} MB",
            f"{each.beside_mb:.0f} MB",
            f"{each.still_open} of {connections}",
        ]
        for each in found
    ]
    return table(headings, rows)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=200, help="slow connections (default: 200)")
    parser.add_argument("--model", default="mnist-convnet", help="bundled model of the tiny images")
    parser.add_argument("--seconds", type=float, default=8, help="seconds of each figure (default: 8)")
    parser.add_argument("--only", default="", metavar="TEXT", help="measure kinds with this in the name")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/performance.md")
    parser.add_argument("flags", nargs="*", metavar="FLAG", help="flags of `spyglass serve`, after --")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.pop("SPYGLASS_SERVER", None)
    sys.exit(main())
