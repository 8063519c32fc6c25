"""`classify-image`: the classes of images."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from spyglass_cli import process
from spyglass_cli.asking.query import ClassQuery
from spyglass_cli.asking.sources import Source, find_sources
from spyglass_cli.output.class_rows import ClassRows
from spyglass_cli.output.heatmap_files import HeatmapFiles
from spyglass_cli.report import EXIT_CODES, add_options, add_top_k, check_options, report

PROGRAM = "classify-image"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, 1 if any image failed, 2 for invalid usage, 130 if interrupted."""
    return process.run(PROGRAM, lambda: _classify(_parse(arguments)))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Classify images. Without a server, run the bundled models in this process.",
        epilog=EXIT_CODES,
    )
    parser.add_argument(
        "--heatmap",
        type=Path,
        metavar="DIR|FILE",
        help="also write a heatmap of the predicted class: IMAGE.heatmap.jpg in folder DIR, or one FILE",
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
    query = ClassQuery(arguments.model, arguments.top_k, arguments.timeout, targets)
    return report(arguments, sources, query, ClassRows(), files)


def _heatmap_files(where: Path, sources: Sequence[Source]) -> HeatmapFiles:
    return HeatmapFiles.at(where, [source.path for source in sources])
