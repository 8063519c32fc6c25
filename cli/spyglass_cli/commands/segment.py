"""`spyglass segment`: masks of images."""

from __future__ import annotations

import argparse
from pathlib import Path

from spyglass_cli.asking.query import MaskQuery
from spyglass_cli.asking.sources import find_sources
from spyglass_cli.flags.classes import add_class
from spyglass_cli.output.mask_files import KINDS, MaskFiles
from spyglass_cli.output.segment_rows import SegmentRows
from spyglass_cli.report import EXIT_CODES, add_options, check_options, report
from spyglass_client import Refinement
from spyglass_contract.errors import InvalidInput


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "segment",
        help="find the class of each pixel of images",
        description="Find the class of each pixel, and write a drawing, mask or cutout beside each image: "
        "IMAGE.mask.jpg, IMAGE.mask.png or IMAGE.cutout.png. Without a server, run the bundled models in "
        "this process.",
        epilog=EXIT_CODES,
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the files (default: beside the images)"
    )
    parser.add_argument(
        "--kind",
        choices=KINDS,
        default="overlay",
        help="overlay: the image with the classes drawn over it; mask: a palette PNG whose pixel values are "
        "class indices; cutout: one class, with the rest transparent (default: %(default)s)",
    )
    _add_class_options(parser)
    add_options(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Return the exit code: 0, or 1 if any image failed. Raises SpyglassError."""
    check_options(arguments)
    _check_class_options(arguments)
    query = MaskQuery(
        arguments.model,
        arguments.timeout,
        _refinements(arguments),
        soft=arguments.target if arguments.soft else None,
        cutout=arguments.target,
    )
    files = MaskFiles(arguments.kind, arguments.out, arguments.target)
    return report(arguments, find_sources(arguments.paths), query, SegmentRows(), files)


def _add_class_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("one class")
    add_class(
        group.add_mutually_exclusive_group(),
        "target",
        "class for --kind cutout, --largest, --fill-holes and --soft",
    )
    group.add_argument(
        "--largest", action="store_true", help="keep only the largest connected region of the class"
    )
    group.add_argument("--fill-holes", action="store_true", help="fill the holes that the class encloses")
    group.add_argument(
        "--soft", action="store_true", help="use the probability of the class as the opacity of the cutout"
    )


def _check_class_options(arguments: argparse.Namespace) -> None:
    """Raise InvalidInput for flags that need a class without one, and for a class without such a flag."""
    about_class = arguments.largest or arguments.fill_holes
    if arguments.target is None and about_class:
        raise InvalidInput("--largest and --fill-holes need a class: name it with --class")
    if arguments.target is not None and arguments.kind != "cutout" and not about_class:
        raise InvalidInput("--class needs --kind cutout, --largest or --fill-holes")
    if arguments.soft and arguments.kind != "cutout":
        raise InvalidInput("--soft needs --kind cutout")


def _refinements(arguments: argparse.Namespace) -> tuple[Refinement, ...]:
    if not (arguments.largest or arguments.fill_holes):
        return ()
    return (Refinement(arguments.target, arguments.largest, arguments.fill_holes),)
