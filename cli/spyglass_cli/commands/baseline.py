"""`spyglass baseline`: what a model predicts on typical images, written into its card."""

from __future__ import annotations

import argparse
from pathlib import Path

from spyglass_cli.flags.baseline import IMAGES, write_baseline
from spyglass_cli.flags.extras import require


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "baseline",
        help="write what a model predicts on typical images into its card",
        description="Run a model on images that are typical of its use, and write the statistics "
        "into the card of model.onnx: scores, classes, entropy, brightness, sizes and formats, but no image. "
        "`spyglass models drift` compares what a server sees with them.",
    )
    parser.add_argument(
        "model", type=Path, metavar="MODELS/NAME/VERSION", help="folder with model.onnx, or that file"
    )
    parser.add_argument(
        "images", type=Path, metavar="DATA", help=f"at least 50 images, typical of its use: {IMAGES}"
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the baseline, print the number of images, and return 0. Raises SpyglassError."""
    for module in ("onnx", "onnxruntime"):
        require("export", module)
    from spyglass_export.write import FILE_NAME, version_folder

    write_baseline(version_folder(arguments.model) / FILE_NAME, arguments.images)
    return 0
