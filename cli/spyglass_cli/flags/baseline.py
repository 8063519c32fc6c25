"""`--baseline`: images whose statistics go into the card of a new model file."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path


def add_baseline_option(parser: argparse.ArgumentParser) -> None:
    """Add `--baseline`."""
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="FOLDER",
        help="folder with images that are typical of the model's use; their statistics go into the card",
    )


def write_baseline(file: Path, folder: Path | None) -> None:
    """Write the baseline of `folder` into the card of `file`, if there is a folder. Raises SpyglassError."""
    if folder is None:
        return
    from spyglass_export.baseline import add_baseline

    found = add_baseline(file, folder, partial(print, file=sys.stderr))
    print(f"{file}: a baseline of {found.images} images")
