"""`classify-image`: what is in these images?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from spyglass_cli import process
from spyglass_cli.asking.query import ClassQuestion
from spyglass_cli.asking.report import add_options, add_top_k, check_options, report
from spyglass_cli.asking.sources import Source, find_sources
from spyglass_cli.output.class_rows import ClassRows
from spyglass_cli.output.heatmap_files import HeatmapFiles

PROGRAM = "classify-image"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 where any image failed, 2 for usage, 130 when interrupted."""
    return process.run(PROGRAM, lambda: _classify(_parse(arguments)))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Says what is in images. Without a server the bundled models answer, in this process.",
        epilog="The exit code is 1 if any image has no answer, 2 for a command that makes no sense.",
    )
    parser.add_argument(
        "--heatmap",
        type=Path,
        metavar="DIR|FILE",
        help="also write where the model saw the class, as IMAGE.heatmap.jpg in a folder or as one file",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('spyglass')}")
    add_top_k(parser)
    add_options(parser)
    return parser.parse_args(arguments)


def _classify(arguments: argparse.Namespace) -> int:
    check_options(arguments)
    sources = find_sources(arguments.paths)
    files = _heatmap_files(arguments.heatmap, sources) if arguments.heatmap else None
    targets = (None,) if files else ()
    question = ClassQuestion(arguments.model, arguments.top_k, arguments.timeout, targets)
    return report(arguments, sources, question, ClassRows(), files)


def _heatmap_files(where: Path, sources: Sequence[Source]) -> HeatmapFiles:
    return HeatmapFiles.at(where, [source.path for source in sources])
