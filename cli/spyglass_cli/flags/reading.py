"""The flags of every command that reads a data set: where it is, and how it is to be read."""

from __future__ import annotations

import argparse

from spyglass_cli.flags.types import folder_to_fill
from spyglass_training.datasets.reading.options import ReadingOptions


def add_reading_flags(group: argparse._ActionsContainer) -> None:
    """What is not given is left to the defaults of `ReadingOptions`: the parser must suppress its own."""
    group.add_argument("--data", required=True, metavar="PATH", help="a file, a folder, or a data set's name")
    group.add_argument("--dataset", metavar="KIND", help="its kind, where it is not told from its looks")
    group.add_argument(
        "--cache", type=folder_to_fill, metavar="DIR", help="keep decoded images for the next time"
    )
    group.add_argument(
        "--skip-corrupt",
        action="store_true",
        help="name images that cannot be read, and go on without them",
    )


def reading_options(arguments: argparse.Namespace, seed: int) -> ReadingOptions:
    """What was asked for; `seed` deals out the parts where the data leaves that open."""
    given = {name: value for name, value in vars(arguments).items() if name in ("cache", "skip_corrupt")}
    return ReadingOptions(seed=seed, **given)
