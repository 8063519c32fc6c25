"""`spyglass explain`: where in these pictures does a model see what it names?"""

from __future__ import annotations

import argparse
from pathlib import Path

from spyglass_cli.asking import add_options, check_options, report
from spyglass_cli.heatmap_files import HeatmapFiles
from spyglass_cli.question import Question
from spyglass_cli.sources import find_sources


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "explain",
        help="show where in pictures a model sees what it names",
        description="Classifies pictures and writes, beside each, where the model saw the class: "
        "PICTURE.heatmap.jpg. Without a server the bundled models answer, in this process.",
        epilog="The exit code is 1 if any picture has no answer, 2 for a command that makes no sense.",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the heatmaps go (default: beside the pictures)"
    )
    parser.add_argument(
        "--class",
        dest="targets",
        action="append",
        type=_target,
        metavar="NAME|INDEX",
        help="the class to explain (default: the predicted one); each further one gets its own",
    )
    add_options(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """The exit code: 0, or 1 where any picture failed; raises SpyglassError."""
    check_options(arguments)
    targets = tuple(arguments.targets or (None,))
    question = Question(arguments.model, arguments.top_k, arguments.timeout, targets)
    return report(arguments, find_sources(arguments.paths), question, HeatmapFiles(folder=arguments.out))


def _target(text: str) -> int | str:
    return int(text) if text.isdecimal() else text
