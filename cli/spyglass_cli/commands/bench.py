"""`spyglass bench`: what a server can do, measured."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from spyglass_cli import process
from spyglass_cli.asking.sources import Source, find_sources
from spyglass_cli.flags.connection import SERVER_VARIABLE, ConnectionFlags, add_connection_options
from spyglass_cli.flags.extras import require
from spyglass_cli.flags.load import add_course, add_load
from spyglass_contract.errors import InvalidInput
from spyglass_contract.files import write_whole

if TYPE_CHECKING:
    from spyglass_cli.load.connections import Connection
    from spyglass_cli.load.loads import Load
    from spyglass_cli.load.measure import Bench
    from spyglass_cli.load.results import Measured

_TASKS = ("classify", "heatmap", "segment")
_EXIT_CODES = "exit code: 0, 1 if every request failed or no rate holds, 2 for invalid usage"
_CACHED = (
    "the server has a response cache and runs no network for an image that it has seen: start it without "
    "--response-cache-bytes to measure the model"
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "bench",
        help="measure latency and throughput of a server",
        description="Send images to a server, or to the models in this process, and measure latency, "
        "throughput, errors and the server's processor time.",
        epilog=_EXIT_CODES,
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="image file, folder or glob; images are sent by turns"
    )
    parser.add_argument(
        "--task", choices=_TASKS, default="classify", help="call to measure (default: %(default)s)"
    )
    parser.add_argument(
        "--model",
        default="",
        metavar="NAME[:VERSION|@LABEL]",
        help="model to use (default: the server's default)",
    )
    add_load(parser)
    add_course(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="write a plot of latency over throughput as PNG"
    )
    add_connection_options(parser, default_seconds=10.0, several=True)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Return the exit code: 0, or 1 if every request failed or no rate holds. Raises SpyglassError."""
    _check(arguments)
    from spyglass_cli.load.measure import Bench
    from spyglass_cli.load.work import Work
    from spyglass_cli.output.bench_table import late_notice, print_results

    images = tuple(map(_read, find_sources(arguments.paths)))
    work = Work(images, arguments.task, arguments.model)
    course = {"warm_up": arguments.warm_up, "seconds": arguments.seconds}
    with (
        _connected(arguments) as connection,
        Bench.opened(connection, work, processes=arguments.processes, **course) as bench,
    ):
        if bench.cached:
            print(_CACHED, file=sys.stderr)
        results, kept = _searched(bench, arguments) if arguments.search else (_swept(bench, arguments), True)
    print_results(results, sys.stdout)
    if notice := late_notice(results):
        print(notice, file=sys.stderr)
    _write(arguments, results)
    return 0 if kept and any(each.record.answered.count for each in results) else process.FAILED


def _check(arguments: argparse.Namespace) -> None:
    if arguments.in_process:
        require("server", "onnxruntime")
    elif not arguments.server:
        raise InvalidInput(f"pass --server, set {SERVER_VARIABLE}, or pass --in-process", field="server")
    if arguments.models and not arguments.in_process:
        raise InvalidInput("--models needs --in-process: a server has its own models", field="models")
    if not 0 < arguments.percentile <= 100:
        raise InvalidInput(
            f"--percentile must be above 0 and at most 100, not {arguments.percentile:g}", field="percentile"
        )
    require("bench", "hdrh")
    require("bench", "psutil")
    if arguments.plot:
        require("bench", "matplotlib")


@contextmanager
def _connected(arguments: argparse.Namespace) -> Iterator[Connection]:
    from spyglass_cli.load.connections import InProcess, ToServer

    if not arguments.in_process:
        yield ToServer(arguments.server, arguments.timeout, ConnectionFlags.of(arguments))
        return
    with closing(InProcess(arguments.models, arguments.timeout)) as connection:
        yield connection


def _read(source: Source) -> bytes:
    if source.error is not None:
        raise source.error
    return source.read()


def _swept(bench: Bench, arguments: argparse.Namespace) -> list[Measured]:
    """Measure the given loads in turn."""
    return [_told(bench.measure(load)) for load in _loads(arguments)]


def _searched(bench: Bench, arguments: argparse.Namespace) -> tuple[list[Measured], bool]:
    """Search the highest rate; return every measurement, and whether a rate keeps the latency."""
    from spyglass_cli.load.highest_rate import find_highest_rate
    from spyglass_cli.load.loads import OpenLoop

    tried: list[Measured] = []

    def at(rate: float) -> Measured:
        tried.append(_told(bench.measure(OpenLoop(rate, arguments.spacing))))
        return tried[-1]

    best = find_highest_rate(at, arguments.percentile, arguments.search)
    found = "no rate keeps" if best is None else f"{best.load} is the highest rate that keeps"
    print(
        f"{found} {arguments.percentile:g} % of the results within {arguments.search:g} ms", file=sys.stderr
    )
    return tried, best is not None


def _told(measured: Measured) -> Measured:
    """Print that a load is done."""
    print(f"{measured.load}: {measured.rate:.1f} results/s", file=sys.stderr)
    return measured


def _loads(arguments: argparse.Namespace) -> Sequence[Load]:
    from spyglass_cli.load.loads import ClosedLoop, OpenLoop, StreamLoop

    if arguments.stream:
        return [StreamLoop(number, arguments.window) for number in arguments.stream]
    if arguments.rate:
        return [OpenLoop(rate, arguments.spacing) for rate in arguments.rate]
    return [ClosedLoop(number) for number in arguments.concurrency or (1, 2, 4, 8, 16)]


def _write(arguments: argparse.Namespace, results: Sequence[Measured]) -> None:
    if arguments.json:
        write_whole(
            arguments.json, json.dumps([each.to_dict() for each in results], indent=2).encode() + b"\n"
        )
    if arguments.plot:
        from spyglass_cli.load.plot import save_plot

        place = "this process" if arguments.in_process else arguments.server
        save_plot(
            results,
            f"{arguments.task} by {arguments.model or 'the default model'} on {place}",
            arguments.plot,
        )
