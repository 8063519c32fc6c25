"""`spyglass quantise`: a network in int8 beside a model file."""

from __future__ import annotations

import argparse
from pathlib import Path

from spyglass_cli.flags.extras import require
from spyglass_cli.flags.quantising import add_quantising, quantise_file
from spyglass_cli.output.reduced_precision import print_reduced


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "quantise",
        help="write a model in int8 beside its file",
        description="Write model.int8.onnx beside model.onnx: the same network in 8-bit integers, if it "
        "keeps the classes of held-out images. `spyglass serve --precision int8` serves it.",
    )
    parser.add_argument(
        "model", type=Path, metavar="MODELS/NAME/VERSION", help="folder with model.onnx, or that file"
    )
    add_quantising(parser, required=True)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the file, print what it keeps, and return 0. Raises SpyglassError."""
    for module in ("onnx", "onnxruntime"):
        require("export", module)
    from spyglass_export.write import FILE_NAME, version_folder

    print_reduced(quantise_file(version_folder(arguments.model) / FILE_NAME, arguments))
    return 0
