"""The parts that the commands about images share: their flags, and the way from PATHs to a report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial

from spyglass_cli import process
from spyglass_cli.asking.ask import ask
from spyglass_cli.asking.progress import with_progress
from spyglass_cli.asking.query import MaskQuery, Query
from spyglass_cli.asking.sources import Source
from spyglass_cli.asking.waiting import with_notice
from spyglass_cli.flags.connection import (
    SERVER_VARIABLE,
    ConnectionFlags,
    add_connection_options,
    open_client,
)
from spyglass_cli.flags.extras import require
from spyglass_cli.flags.types import positive_integer
from spyglass_cli.output.formats import FORMATS, make_writer
from spyglass_cli.output.image_files import ImageFiles
from spyglass_cli.output.rows import Rows
from spyglass_client import Client, Failure
from spyglass_contract.errors import InvalidInput

EXIT_CODES = "exit code: 0, 1 if any image failed, 2 for invalid usage"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the PATHs, `--format`, `--model` and the flags of the connection."""
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="image file, folder (with its sub-folders), glob, or - for an image on standard input",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="table",
        help="output: a table for people, a JSON array, JSON lines or CSV (default: %(default)s)",
    )
    parser.add_argument(
        "--model",
        default="",
        metavar="NAME[:VERSION|@LABEL]",
        help="model to use (default: the server's default model)",
    )
    add_connection_options(parser, several=True)


def add_top_k(parser: argparse.ArgumentParser) -> None:
    """Add `--top-k`."""
    parser.add_argument(
        "--top-k",
        type=positive_integer,
        metavar="N",
        help="number of classes to show (default: the server's default, or all if the model has fewer)",
    )


def check_options(arguments: argparse.Namespace) -> None:
    """Raise InvalidInput for flags of the connection without a server."""
    if not arguments.server and ConnectionFlags.of(arguments):
        raise InvalidInput(
            "the flags of TLS and of the token, such as --ca and --token-file, need a server: pass --server "
            f"or set {SERVER_VARIABLE}",
            field="server",
        )


def report(
    arguments: argparse.Namespace,
    sources: Sequence[Source],
    query: Query,
    rows: Rows,
    files: ImageFiles | None = None,
) -> int:
    """Send the images, write drawings into `files`, and show each outcome in `rows` or as JSON.

    Return the exit code: 0, or 1 if any image failed. Raises SpyglassError.
    """
    writer = make_writer(arguments.format, rows, sys.stdout, sys.stderr)
    failed = False
    in_the_way = writer.at_once and sys.stdout.isatty()
    outcomes = ask(_open_client(arguments, query), sources, query)
    if arguments.server:
        outcomes = with_notice(outcomes, arguments.server)
    with closing(files.save_all(outcomes) if files else outcomes) as finished:
        for outcome in with_progress(finished, len(sources), in_the_way=in_the_way):
            writer.add(outcome)
            failed = failed or isinstance(outcome.result, Failure)
    writer.close()
    return process.FAILED if failed else 0


def _open_client(arguments: argparse.Namespace, query: Query) -> Callable[[], Client]:
    """Return what opens a client of the server in the flags, or of the bundled models in this process."""
    if arguments.server:
        return partial(open_client, arguments)
    require("server", "onnxruntime")
    if isinstance(query, MaskQuery) and query.refine:
        require("server", "scipy")
    print("no server given: using the bundled models in this process", file=sys.stderr)
    from spyglass_server import local_client

    # A command that runs once must not wait until a GPU is initialised.
    return partial(local_client, device="cpu")
