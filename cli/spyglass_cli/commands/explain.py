"""`spyglass explain`: where in these images does a model see what it names?"""

from __future__ import annotations

import argparse
from pathlib import Path

from spyglass_cli.asking.query import ClassQuestion
from spyglass_cli.asking.report import add_options, add_top_k, check_options, class_argument, report
from spyglass_cli.asking.sources import find_sources
from spyglass_cli.commands.explain_check import add_check_options, check_unused, run_check
from spyglass_cli.output.class_rows import ClassRows
from spyglass_cli.output.heatmap_files import HeatmapFiles


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "explain",
        help="show where in images a model sees what it names",
        description="Classifies images and writes, beside each, where the model saw the class: "
        "IMAGE.heatmap.jpg. Without a server the bundled models answer, in this process.",
        epilog="The exit code is 1 if any image has no answer, 2 for a command that makes no sense.",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where heatmaps or report go (default: beside the images)"
    )
    parser.add_argument(
        "--class",
        dest="targets",
        action="append",
        type=class_argument,
        metavar="NAME|INDEX",
        help="the class to explain (default: the predicted one); each further one gets its own",
    )
    add_top_k(parser)
    add_options(parser)
    add_check_options(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """The exit code: 0, or 1 where any image failed; raises SpyglassError."""
    check_options(arguments)
    if arguments.check:
        return run_check(arguments)
    check_unused(arguments)
    targets = tuple(arguments.targets or (None,))
    question = ClassQuestion(arguments.model, arguments.top_k, arguments.timeout, targets)
    files = HeatmapFiles(folder=arguments.out)
    return report(arguments, find_sources(arguments.paths), question, ClassRows(), files)
