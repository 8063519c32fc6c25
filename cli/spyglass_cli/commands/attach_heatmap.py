"""`spyglass attach-heatmap`: the earlier name of `spyglass adopt`."""

from __future__ import annotations

import argparse

from spyglass_cli.commands import adopt


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command, with the flags of `adopt`."""
    adopt.add_named(subparsers, "attach-heatmap", "another name of `spyglass adopt`")
