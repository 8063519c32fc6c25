"""The flags of every command that reads a data set."""

from __future__ import annotations

import argparse

from spyglass_cli.flags.types import output_folder
from spyglass_training.datasets.reading.options import ReadingOptions


def add_reading_flags(group: argparse._ActionsContainer) -> None:
    """Add `--data`, `--dataset`, `--cache` and `--skip-corrupt`.

    The parser must suppress defaults: `ReadingOptions` has them.
    """
    group.add_argument(
        "--data", required=True, metavar="PATH", help="data set: a file, a folder, or the name of a kind"
    )
    group.add_argument(
        "--dataset", metavar="KIND", help="kind of the data set (default: recognised from its files)"
    )
    group.add_argument(
        "--cache",
        type=output_folder,
        metavar="DIR",
        help="folder that keeps decoded images for later runs (default: in memory only)",
    )
    group.add_argument(
        "--skip-corrupt",
        action="store_true",
        help="print the names of images that cannot be read, and leave them out (default: stop)",
    )


def reading_options(arguments: argparse.Namespace, seed: int) -> ReadingOptions:
    """Return the given options; `seed` splits the data if the data set has no parts of its own."""
    given = {name: value for name, value in vars(arguments).items() if name in ("cache", "skip_corrupt")}
    return ReadingOptions(seed=seed, **given)
