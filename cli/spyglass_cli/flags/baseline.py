"""`--baseline`: images whose statistics go into the card of a model file."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spyglass_cli.flags.extras import require
from spyglass_contract.errors import InvalidInput

if TYPE_CHECKING:
    from spyglass.v1.model_pb2 import ModelCard
    from spyglass_export.baseline import TypicalImages

IMAGES = "folder with images, or a data set in a file such as mnist.npz"


def add_baseline_option(parser: argparse.ArgumentParser) -> None:
    """Add `--baseline`."""
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="DATA",
        help=f"images that are typical of the model's use, whose statistics go into the card: {IMAGES}",
    )


def check_baseline(data: Path | None) -> None:
    """Raise InvalidInput, before a model is made, if there is nothing at `data`."""
    if data is not None and not data.exists():
        raise InvalidInput(f"--baseline: there is no {data}; expected a {IMAGES}", field="baseline")


def write_baseline(file: Path, data: Path | None) -> None:
    """Write the baseline of `data` into the card of `file`, if there is any data. Raises SpyglassError."""
    if data is None:
        return
    from spyglass_export.baseline import add_baseline, images_below

    notify = partial(print, file=sys.stderr)
    images: TypicalImages = (
        _of_data_set(data) if data.is_file() else partial(images_below, data, notify=notify)
    )
    found = add_baseline(file, images, notify)
    print(f"{file}: a baseline of {found.images} images")


def _of_data_set(data: Path) -> TypicalImages:
    """Return the validation part of a data set, or its test part: images that trained no network."""
    require("training", "keras")
    from spyglass_export.baseline import TypicalImage
    from spyglass_training.datasets.registry import open_dataset

    def images(card: ModelCard) -> list[TypicalImage]:
        dataset = open_dataset(None, data, card.input, task=card.task)
        return [TypicalImage(pixels) for pixels in (dataset.validation or dataset.test).pixels]

    return images
