"""`spyglass`: the program of all commands except `classify-image`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from spyglass_cli import process

PROGRAM = "spyglass"

# Each command is a module of `spyglass_cli.commands`, with `_` for `-`, that has `add_parser`. A command
# imports its own module only; the help of `spyglass` imports all of them.
COMMANDS = (
    "serve",
    "health",
    "top",
    "doctor",
    "token",
    "bench",
    "models",
    "explain",
    "segment",
    "train",
    "pretrained",
    "export",
    "adopt",
    "attach-heatmap",
    "quantise",
    "baseline",
    "sign",
    "dataset",
    "inspect",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, 1 if the command fails, 2 for invalid usage, 130 after SIGINT."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    return process.run(" ".join([PROGRAM, *given[:1]]), lambda: _run(given))


def _run(arguments: Sequence[str]) -> int:
    parsed = _parse(arguments)
    code: int = parsed.func(parsed)
    return code


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Train, export, serve and explain image models."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('spyglass')}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name in [name for name in COMMANDS if name in arguments[:1]] or COMMANDS:
        import_module(f"spyglass_cli.commands.{name.replace('-', '_')}").add_parser(subparsers)
    parsed, remainder = parser.parse_known_args(arguments)
    # A command that parses its own flags gets the flags that this parser does not know.
    if remainder and not getattr(parsed, "takes_remainder", False):
        parser.error(f"unrecognized arguments: {' '.join(remainder)}")
    parsed.remainder = remainder
    return parsed
