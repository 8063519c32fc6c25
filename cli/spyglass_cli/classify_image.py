"""`classify-image`: what is in these pictures?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from importlib.metadata import version

from spyglass_cli import process
from spyglass_cli.connection import SERVER_VARIABLE, add_connection_options, open_client, positive
from spyglass_cli.formats import FORMATS, make_writer
from spyglass_cli.outcomes import Outcomes
from spyglass_cli.progress import with_progress
from spyglass_cli.question import Question
from spyglass_cli.sources import Source, find_sources
from spyglass_client import Failure

PROGRAM = "classify-image"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 where any picture failed, 2 for usage, 130 when interrupted."""
    return process.run(PROGRAM, lambda: _classify(_parse(arguments)))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Says what is in pictures. Without a server the bundled models answer, in this process.",
        epilog="The exit code is 1 if any picture has no answer, 2 for a command that makes no sense.",
    )
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a picture, a folder (with all that is in it), a glob, or - for a picture on standard input",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="table",
        help="a table for people; or a JSON array, JSON lines or CSV (default: %(default)s)",
    )
    parser.add_argument(
        "--top-k", type=positive, metavar="N", help="how many classes to name (default: 5, or all if fewer)"
    )
    parser.add_argument(
        "--model",
        default="",
        metavar="NAME[:VERSION|@LABEL]",
        help="the model to ask (default: the server's)",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('spyglass')}")
    add_connection_options(parser)
    parsed = parser.parse_args(arguments)
    if not parsed.server and (parsed.token_file or parsed.ca):
        parser.error(f"--token-file and --ca are for a server: give --server or set {SERVER_VARIABLE}")
    return parsed


def _classify(arguments: argparse.Namespace) -> int:
    sources = find_sources(arguments.paths)
    writer = make_writer(arguments.format, sys.stdout, sys.stderr)
    failed = False
    in_the_way = writer.at_once and sys.stdout.isatty()
    with closing(_outcomes(arguments, sources)) as outcomes:
        for outcome in with_progress(outcomes, len(sources), in_the_way=in_the_way):
            writer.add(outcome)
            failed = failed or isinstance(outcome.answer, Failure)
    writer.close()
    return process.FAILED if failed else 0


def _outcomes(arguments: argparse.Namespace, sources: Sequence[Source]) -> Outcomes:
    """Asks the server that is given, or else the bundled models."""
    question = Question(arguments.model, arguments.top_k, arguments.timeout)
    if arguments.server:
        from spyglass_cli.remote import classify_remotely

        return classify_remotely(partial(open_client, arguments), sources, question)
    from spyglass_cli.embedded import classify_here

    return classify_here(sources, question)
