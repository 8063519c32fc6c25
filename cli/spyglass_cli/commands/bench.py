"""`spyglass bench`: what a server can do, measured."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spyglass_cli import process
from spyglass_cli.asking.sources import Source, find_sources
from spyglass_cli.flags.connection import SERVER_VARIABLE, add_connection_options
from spyglass_cli.flags.extras import require
from spyglass_cli.flags.types import non_negative_seconds, positive_integer, positive_number, positive_seconds
from spyglass_contract.errors import InvalidInput
from spyglass_contract.files import write_whole

if TYPE_CHECKING:
    from spyglass_cli.load.loads import Load
    from spyglass_cli.load.measure import Bench
    from spyglass_cli.load.results import Measured
    from spyglass_cli.load.work import Work

_TASKS = ("classify", "heatmap", "segment")
_SPACINGS = ("poisson", "even")
_EXIT_CODES = "exit code: 0, 1 if every request failed or no rate holds, 2 for invalid usage"


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
    _add_load(parser)
    _add_course(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="write a plot of latency over throughput as PNG"
    )
    add_connection_options(parser, default_seconds=10.0)
    parser.set_defaults(func=run)


def _add_load(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("load", "one of these; without any: --concurrency 1 2 4 8 16")
    loads = group.add_mutually_exclusive_group()
    loads.add_argument(
        "--concurrency",
        type=positive_integer,
        nargs="+",
        metavar="N",
        help="closed loop: N callers that wait for each response; several numbers are measured in turn",
    )
    loads.add_argument(
        "--rate",
        type=positive_number,
        nargs="+",
        metavar="R",
        help="open loop: R requests a second, whether or not responses come; several numbers are "
        "measured in turn",
    )
    loads.add_argument(
        "--search",
        type=positive_number,
        metavar="MS",
        help="open loop: find the highest rate at which --percentile of the results take at "
        "most MS milliseconds",
    )
    group.add_argument(
        "--percentile",
        type=positive_number,
        default=99.0,
        metavar="P",
        help="for --search (default: %(default)g)",
    )
    group.add_argument(
        "--spacing",
        choices=_SPACINGS,
        default="poisson",
        help="arrivals of an open loop: at random, or evenly spaced (default: %(default)s)",
    )


def _add_course(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("measurement")
    group.add_argument(
        "--seconds",
        type=positive_seconds,
        default=10.0,
        metavar="S",
        help="time for each load (default: %(default)g)",
    )
    group.add_argument(
        "--warm-up",
        type=non_negative_seconds,
        default=2.0,
        metavar="S",
        help="time before each load that does not count (default: %(default)g)",
    )
    group.add_argument(
        "--processes",
        type=positive_integer,
        default=2,
        metavar="N",
        help="client processes (default: %(default)d)",
    )
    group.add_argument(
        "--in-process",
        action="store_true",
        help="run the models in this process, without a server: the limit of what a server can reach",
    )
    group.add_argument(
        "--models", type=Path, metavar="DIR", help="models for --in-process (default: the bundled ones)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Return the exit code: 0, or 1 if every request failed or no rate holds. Raises SpyglassError."""
    _check(arguments)
    from spyglass_cli.load.measure import Bench
    from spyglass_cli.output.bench_table import late_notice, print_results

    work = _work(arguments)
    results: list[Measured] = []
    with Bench.opened(
        work, processes=arguments.processes, warm_up=arguments.warm_up, seconds=arguments.seconds
    ) as bench:
        for measured in _measure(bench, arguments):
            results.append(measured)
            print(f"{measured.load}: {measured.rate:.1f} results/s", file=sys.stderr)
    print_results(results, sys.stdout)
    if notice := late_notice(results):
        print(notice, file=sys.stderr)
    _write(arguments, work, results)
    return 0 if any(each.record.answered.count for each in results) else process.FAILED


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


def _work(arguments: argparse.Namespace) -> Work:
    from spyglass_cli.load.work import Work

    return Work(
        images=tuple(map(_read, find_sources(arguments.paths))),
        task=arguments.task,
        model=arguments.model,
        timeout=arguments.timeout,
        server=None if arguments.in_process else arguments.server,
        token_file=arguments.token_file,
        ca=arguments.ca,
        models=arguments.models,
    )


def _read(source: Source) -> bytes:
    if source.error is not None:
        raise source.error
    return source.read()


def _measure(bench: Bench, arguments: argparse.Namespace) -> Iterator[Measured]:
    from spyglass_cli.load.highest_rate import find_highest_rate
    from spyglass_cli.load.loads import OpenLoop

    if not arguments.search:
        for load in _loads(arguments):
            yield bench.measure(load)
        return
    tried: list[Measured] = []

    def at(rate: float) -> Measured:
        tried.append(bench.measure(OpenLoop(rate, arguments.spacing)))
        return tried[-1]

    best = find_highest_rate(at, arguments.percentile, arguments.search)
    yield from tried
    limit = f"{arguments.percentile:g} % of the results within {arguments.search:g} ms"
    if best is None:
        print(f"no rate keeps {limit}", file=sys.stderr)
    else:
        print(f"the highest rate that keeps {limit}: {best.load}", file=sys.stderr)


def _loads(arguments: argparse.Namespace) -> Sequence[Load]:
    from spyglass_cli.load.loads import ClosedLoop, OpenLoop

    if arguments.rate:
        return [OpenLoop(rate, arguments.spacing) for rate in arguments.rate]
    return [ClosedLoop(number) for number in arguments.concurrency or (1, 2, 4, 8, 16)]


def _write(arguments: argparse.Namespace, work: Work, results: Sequence[Measured]) -> None:
    if arguments.json:
        write_whole(
            arguments.json, json.dumps([each.to_dict() for each in results], indent=2).encode() + b"\n"
        )
    if arguments.plot:
        from spyglass_cli.load.plot import save_plot

        save_plot(results, f"{work.task} {work.model} on {work.server or 'this process'}", arguments.plot)
