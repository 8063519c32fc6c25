"""`spyglass explain`: heatmaps of images."""

from __future__ import annotations

import argparse
from pathlib import Path

from spyglass_cli.asking.query import ClassQuery
from spyglass_cli.asking.sources import find_sources
from spyglass_cli.commands.explain_check import add_check_options, check_unused, run_check
from spyglass_cli.flags.classes import add_class
from spyglass_cli.output.class_rows import ClassRows
from spyglass_cli.output.heatmap_files import HeatmapFiles
from spyglass_cli.report import EXIT_CODES, add_options, add_top_k, check_options, report


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "explain",
        help="draw heatmaps: the parts of images that support a class",
        description="Classify images, and write a heatmap beside each: IMAGE.heatmap.jpg. Without a server, "
        "run the bundled models in this process.",
        epilog=EXIT_CODES,
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for the heatmaps or the report (default: beside the images)",
    )
    add_class(
        parser,
        "targets",
        "class to explain (default: the predicted one); repeat the flag for more heatmaps",
        action="append",
    )
    add_top_k(parser)
    add_options(parser)
    add_check_options(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Return the exit code: 0, or 1 if any image failed. Raises SpyglassError."""
    check_options(arguments)
    if arguments.check:
        return run_check(arguments)
    check_unused(arguments)
    targets = tuple(arguments.targets or (None,))
    query = ClassQuery(arguments.model, arguments.top_k, arguments.timeout, targets)
    files = HeatmapFiles(folder=arguments.out)
    return report(arguments, find_sources(arguments.paths), query, ClassRows(), files)
