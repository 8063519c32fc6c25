"""The flags of a load test: its loads and its course."""

from __future__ import annotations

import argparse
from pathlib import Path

from spyglass_cli.flags.types import non_negative_seconds, positive_integer, positive_number, positive_seconds

_SPACINGS = ("poisson", "even")


def add_load(parser: argparse.ArgumentParser) -> None:
    """Add `--concurrency`, `--rate`, `--stream` or `--search`, and how an open loop arrives."""
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
        "--stream",
        type=positive_integer,
        nargs="+",
        metavar="N",
        help="N streams, each with --window images under way; several numbers are measured in turn",
    )
    loads.add_argument(
        "--search",
        type=positive_number,
        metavar="MS",
        help="open loop: find the highest rate at which --percentile of the results take at "
        "most MS milliseconds",
    )
    group.add_argument(
        "--window",
        type=positive_integer,
        default=16,
        metavar="N",
        help="for --stream: images of a stream under way (default: %(default)d)",
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


def add_course(parser: argparse.ArgumentParser) -> None:
    """Add how long, and from where, each load is measured."""
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
