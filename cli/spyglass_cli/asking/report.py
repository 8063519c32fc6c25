"""What the commands that ask about images have in common: their options, and from PATHs to a report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial

from spyglass_cli import process
from spyglass_cli.asking.outcomes import Outcomes
from spyglass_cli.asking.progress import with_progress
from spyglass_cli.asking.query import Question
from spyglass_cli.asking.sources import Source
from spyglass_cli.flags.connection import SERVER_VARIABLE, add_connection_options, open_client, positive
from spyglass_cli.output.formats import FORMATS, make_writer
from spyglass_cli.output.image_files import ImageFiles
from spyglass_cli.output.rows import Rows
from spyglass_client import Failure
from spyglass_contract.errors import InvalidInput


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the PATHs, `--format`, `--model` and the options of the connection."""
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="an image, a folder (with all that is in it), a glob, or - for an image on standard input",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="table",
        help="a table for people; or a JSON array, JSON lines or CSV (default: %(default)s)",
    )
    parser.add_argument(
        "--model",
        default="",
        metavar="NAME[:VERSION|@LABEL]",
        help="the model to ask (default: the server's)",
    )
    add_connection_options(parser)


def add_top_k(parser: argparse.ArgumentParser) -> None:
    """Adds `--top-k`."""
    parser.add_argument(
        "--top-k", type=positive, metavar="N", help="how many classes to name (default: 5, or all if fewer)"
    )


def class_argument(text: str) -> int | str:
    """A class by its index, or by its name."""
    return int(text) if text.isdecimal() else text


def check_options(arguments: argparse.Namespace) -> None:
    """Raises InvalidInput for options that make no sense together."""
    if not arguments.server and (arguments.token_file or arguments.ca):
        raise InvalidInput(
            f"--token-file and --ca are for a server: give --server or set {SERVER_VARIABLE}", field="server"
        )


def report(
    arguments: argparse.Namespace,
    sources: Sequence[Source],
    question: Question,
    rows: Rows,
    files: ImageFiles | None = None,
) -> int:
    """Asks, writes what is drawn into `files`, and shows what came of each image, in `rows` or as JSON.

    The exit code: 0, or 1 where any image failed. Raises SpyglassError.
    """
    writer = make_writer(arguments.format, rows, sys.stdout, sys.stderr)
    failed = False
    in_the_way = writer.at_once and sys.stdout.isatty()
    outcomes = _ask(arguments, sources, question)
    with closing(files.save_all(outcomes) if files else outcomes) as finished:
        for outcome in with_progress(finished, len(sources), in_the_way=in_the_way):
            writer.add(outcome)
            failed = failed or isinstance(outcome.answer, Failure)
    writer.close()
    return process.FAILED if failed else 0


def _ask(arguments: argparse.Namespace, sources: Sequence[Source], question: Question) -> Outcomes:
    """Asks the server that is given, or else the bundled models."""
    if arguments.server:
        from spyglass_cli.asking.remote import ask_server

        return ask_server(partial(open_client, arguments), sources, question)
    from spyglass_cli.asking.embedded import ask_here

    return ask_here(sources, question)
