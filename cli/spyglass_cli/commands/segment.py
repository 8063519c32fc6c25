"""`spyglass segment`: which class does each pixel of these images belong to?"""

from __future__ import annotations

import argparse
from pathlib import Path

from spyglass_cli.asking.query import SegmentQuestion
from spyglass_cli.asking.report import add_options, check_options, class_argument, report
from spyglass_cli.asking.sources import find_sources
from spyglass_cli.output.mask_files import KINDS, MaskFiles
from spyglass_cli.output.segment_rows import SegmentRows
from spyglass_client import Refinement
from spyglass_contract.errors import InvalidInput


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "segment",
        help="say which class each pixel of images belongs to",
        description="Divides images among the classes of a model and writes, beside each, what came of it: "
        "IMAGE.mask.jpg, IMAGE.mask.png or IMAGE.cutout.png. Without a server the bundled models "
        "answer, in this process.",
        epilog="The exit code is 1 if any image has no answer, 2 for a command that makes no sense.",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the files go (default: beside the images)"
    )
    parser.add_argument(
        "--kind",
        choices=KINDS,
        default="overlay",
        help="the image with the classes drawn over it; the mask, a palette PNG in which the value of a "
        "pixel is its class; or one class cut out of the image (default: %(default)s)",
    )
    _add_class_options(parser)
    add_options(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """The exit code: 0, or 1 where any image failed; raises SpyglassError."""
    check_options(arguments)
    _check_class_options(arguments)
    question = SegmentQuestion(
        arguments.model,
        arguments.timeout,
        _refinements(arguments),
        arguments.target if arguments.soft else None,
    )
    files = MaskFiles(arguments.kind, arguments.out, arguments.target)
    return report(arguments, find_sources(arguments.paths), question, SegmentRows(), files)


def _add_class_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("one class")
    group.add_argument(
        "--class",
        dest="target",
        type=class_argument,
        metavar="NAME|INDEX",
        help="the class to cut out, and that the following are about",
    )
    group.add_argument("--largest", action="store_true", help="there is one thing of it: the largest")
    group.add_argument(
        "--fill-holes", action="store_true", help="it has no holes: what it encloses is its own"
    )
    group.add_argument(
        "--soft", action="store_true", help="cut it out as opaque as it is probable, without a hard edge"
    )


def _check_class_options(arguments: argparse.Namespace) -> None:
    """Raises InvalidInput for options about one class where none is named, and a class without them."""
    about_class = arguments.largest or arguments.fill_holes
    if arguments.target is None and about_class:
        raise InvalidInput("--largest and --fill-holes are about one class: name it with --class")
    if arguments.target is not None and arguments.kind != "cutout" and not about_class:
        raise InvalidInput("--class is for --kind cutout, --largest and --fill-holes")
    if arguments.soft and arguments.kind != "cutout":
        raise InvalidInput("--soft is for --kind cutout")


def _refinements(arguments: argparse.Namespace) -> tuple[Refinement, ...]:
    if not (arguments.largest or arguments.fill_holes):
        return ()
    return (Refinement(arguments.target, arguments.largest, arguments.fill_holes),)
