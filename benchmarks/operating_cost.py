"""Measure what security and observation cost the server, in processor time for each request.

Several servers run side by side: one without anything, and others that each have one thing more: the log,
tokens with quotas, metrics, traces of 1 % of the requests, statistics, and TLS. Each round loads them in
turn, each time in another order. The ratio is that to the server without anything in the same round.

    python benchmarks/operating_cost.py [--rounds 5] [--seconds 4] [--concurrency 8] [--docs] 2> /dev/null
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import trustme

from comparing.rounds import Load, processor_times
from comparing.variants import Served, classify_payload
from measuring.client_processes import client_processes
from measuring.docs_section import replace_section
from measuring.images import photo, tiny
from measuring.machine import describe_machine, machine_line
from measuring.markdown import table
from measuring.process_tree import ProcessTree
from measuring.targets import CLASSIFY, GrpcTarget
from serving_process import free_port, serving
from spyglass_server.engine.models.bundled import bundled_models

# Nothing listens there: a trace that cannot be sent costs what one that is sent costs, or more.
_COLLECTOR = "http://localhost:9"


def main() -> int:
    """Print the medians of each server for a tiny image and for a photograph."""
    options = _parse()
    conditions = (
        f"{machine_line(describe_machine())}. Medians of {options.rounds} rounds of {options.seconds:g} s, "
        f"{options.concurrency} callers on the same cores as the servers. Each row has what the rows above "
        "it have, too."
    )
    loads = [
        Load("PNG of 28×28, mnist-convnet", "mnist-convnet", tiny()),
        Load("photograph of 500×375, imagenet", "imagenet", photo(500, 375)),
    ]
    parts = [conditions]
    with tempfile.TemporaryDirectory() as folder:
        parts += [f"{load.name}:\n\n{_measure(load, Path(folder), options)}" for load in loads]
    text = "\n\n".join(parts)
    print(text)
    if options.docs:
        replace_section("operating cost", text)
    return 0


def _measure(load: Load, folder: Path, options: argparse.Namespace) -> str:
    token, flags = _flags(folder)
    with ExitStack() as stack:
        served = {}
        for name, own in flags.items():
            ca = folder / "ca.pem" if "--tls-key" in own else None
            address, process = stack.enter_context(
                serving("--models", str(bundled_models()), *own, log_level="info", ca=ca)
            )
            target = GrpcTarget(
                address,
                CLASSIFY,
                classify_payload(load.model, load.image),
                token if "--tokens" in own else "",
                ca.read_bytes() if ca else None,
            )
            served[name] = Served(ProcessTree(process.pid), target, lambda body: {})
        clients = stack.enter_context(client_processes(1))
        found = processor_times(served, clients, options.concurrency, options.rounds, options.seconds)
    bare = found[next(iter(found))]
    rows = []
    for name, costs in found.items():
        ratios = [cost / each for cost, each in zip(costs, bare, strict=True)]
        more = [(cost - each) * 1000 for cost, each in zip(costs, bare, strict=True)]
        rows.append(
            [
                name,
                f"{statistics.median(costs):.3f} ms",
                f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
                f"{statistics.median(more):.0f} µs",
            ]
        )
    return table(["server", "processor time of a request", "ratio", "more"], rows)


def _flags(folder: Path) -> tuple[str, dict[str, list[str]]]:
    """Return a token, and the flags of each server."""
    tokens = folder / "tokens.jsonl"
    if not tokens.exists():
        _make_files(folder, tokens)
    token = (folder / "token").read_text().strip()
    added = {
        "nothing, not even the log": [],
        "log": ["--log-format", "json"],
        "tokens and quotas": ["--tokens", str(tokens), "--caller-requests-per-second", "1000000"],
        "metrics": ["--metrics-port"],
        "traces of 1 %": ["--tracing-endpoint", _COLLECTOR, "--tracing-sample", "0.01"],
        "statistics": ["--statistics"],
        "TLS": ["--tls-certificate", str(folder / "tls.crt"), "--tls-key", str(folder / "tls.key")],
    }
    flags: dict[str, list[str]] = {}
    # Profiles would be measured meanwhile.
    so_far: list[str] = ["--host", "localhost", "--profile-seconds", "0"]
    for name, more in added.items():
        so_far = [*so_far, *more]
        own = [part for each in so_far for part in _with_port(each)]
        flags[name] = own if name != "nothing, not even the log" else [*own, "--access-log", "false"]
    return token, flags


def _with_port(flag: str) -> list[str]:
    return [flag, str(free_port())] if flag == "--metrics-port" else [flag]


def _make_files(folder: Path, tokens: Path) -> None:
    command = [sys.executable, "-m", "spyglass_cli", "token", "new", "--name", "bench"]
    made = subprocess.run(
        [*command, "--scope", "classify", "--scope", "model:*", str(tokens)],
        check=True,
        capture_output=True,
        text=True,
    )
    (folder / "token").write_text(made.stdout)
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    (folder / "ca.pem").write_bytes(authority.cert_pem.bytes())
    (folder / "tls.crt").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    (folder / "tls.key").write_bytes(issued.private_key_pem.bytes())


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/performance.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
