"""The flags that name a class."""

from __future__ import annotations

import argparse

from spyglass_cli.flags.types import non_negative_integer


def add_class(group: argparse._ActionsContainer, dest: str, text: str, action: str = "store") -> None:
    """Add `--class`, whose text is a name or an index, and `--class-index`; both set `dest`."""
    group.add_argument("--class", dest=dest, action=action, metavar="NAME|INDEX", help=text)
    group.add_argument(
        "--class-index",
        dest=dest,
        action=action,
        type=non_negative_integer,
        metavar="INDEX",
        help="class as in --class, by its index only, for models whose class names are numbers",
    )
